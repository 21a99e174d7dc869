# Everything that Orchard takes from Debian, found once. Why each: docs/dependencies.md.
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)  # CMake's module: Debian's 3.21 ships no config
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
find_package(Boost 1.74 CONFIG REQUIRED)  # headers alone
find_package(prometheus-cpp CONFIG REQUIRED)
set(ORCHARD_LIBTORCH "" CACHE PATH
    "folder of another LibTorch than Debian's, for example one with CUDA (docs/gpu.md)")
if(ORCHARD_LIBTORCH)
  include(OtherLibTorch)
else()
  find_package(Torch CONFIG REQUIRED)
endif()
find_package(CLI11 CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
find_package(JPEG REQUIRED)
find_package(SQLite3 REQUIRED)
option(ORCHARD_MONGODB "Run logs in MongoDB as well (libmongoc)" ON)
if(ORCHARD_MONGODB)
  find_package(mongoc-1.0 CONFIG REQUIRED)
endif()

# Another LibTorch has ONNX's messages inside, beside a protobuf of its own: such a build goes without ours.
if(ORCHARD_LIBTORCH)
  set(onnx OFF)
else()
  set(onnx ON)
endif()
option(ORCHARD_ONNX "Networks as ONNX files, and orchard-train graph (libonnx)" ${onnx})
if(ORCHARD_ONNX)
  # The config of Debian's package asks for parts that the package doesn't hold.
  add_library(orchard_onnx INTERFACE)
  foreach(part IN ITEMS onnx onnx_proto)
    find_library(ORCHARD_LIB_${part} ${part} REQUIRED)
    target_link_libraries(orchard_onnx INTERFACE ${ORCHARD_LIB_${part}})
  endforeach()
  find_path(ORCHARD_ONNX_INCLUDE onnx/onnx_pb.h REQUIRED)
  target_include_directories(orchard_onnx SYSTEM INTERFACE ${ORCHARD_ONNX_INCLUDE})
  target_compile_definitions(orchard_onnx INTERFACE ONNX_NAMESPACE=onnx ONNX_ML=1)
  target_link_libraries(orchard_onnx INTERFACE protobuf::libprotobuf)
  add_library(orchard::onnx ALIAS orchard_onnx)
endif()

# The config of Debian's oneDNN wants OpenCL's headers, which only its GPU part needs. Another LibTorch
# has a oneDNN of its own inside, whose dynamic symbols are in part those of Debian's
# (std::call_once<…gemm_info_t…>): in one process one of the two would initialise the other.
if(NOT ORCHARD_LIBTORCH)
  find_library(ORCHARD_DNNL dnnl REQUIRED)
  find_path(ORCHARD_DNNL_INCLUDE oneapi/dnnl/dnnl.hpp REQUIRED)
  add_library(orchard_onednn INTERFACE)
  target_link_libraries(orchard_onednn INTERFACE ${ORCHARD_DNNL})
  target_include_directories(orchard_onednn SYSTEM INTERFACE ${ORCHARD_DNNL_INCLUDE})
  add_library(orchard::onednn ALIAS orchard_onednn)
endif()

# The narrow OpenCV packages have neither a CMake config nor a .pc file.
add_library(orchard_opencv INTERFACE)
foreach(module IN ITEMS core imgproc imgcodecs)
  find_library(ORCHARD_OPENCV_${module} opencv_${module} REQUIRED)
  target_link_libraries(orchard_opencv INTERFACE ${ORCHARD_OPENCV_${module}})
endforeach()
target_include_directories(orchard_opencv SYSTEM INTERFACE /usr/include/opencv4)
add_library(orchard::opencv ALIAS orchard_opencv)

if(BUILD_TESTING)
  find_package(GTest CONFIG REQUIRED)
endif()
if(ORCHARD_BENCHMARKS)
  find_package(benchmark CONFIG REQUIRED)
endif()
