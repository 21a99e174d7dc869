# The target `torch` from the folder ORCHARD_LIBTORCH, with its include/ and lib/: what PyTorch's package has
# under site-packages/torch, or LibTorch's archive unpacked. By hand and not by the folder's own TorchConfig,
# because that wants CUDA's compiler and headers of a LibTorch with CUDA, and we call nothing of CUDA.
foreach(_file IN ITEMS lib/libtorch.so lib/libtorch_cpu.so lib/libc10.so
                      include/torch/csrc/api/include/torch/types.h)
  if(NOT EXISTS "${ORCHARD_LIBTORCH}/${_file}")
    message(FATAL_ERROR "ORCHARD_LIBTORCH=${ORCHARD_LIBTORCH} holds no ${_file}; it is the folder with "
                        "LibTorch's include/ and lib/, of PyTorch: site-packages/torch")
  endif()
endforeach()

# LibTorch's own headers alone: beside them lie protobuf's, oneDNN's and fmt's, in other versions than
# Debian's, which would be found first.
set(_headers ${CMAKE_BINARY_DIR}/libtorch)
file(REMOVE_RECURSE ${_headers})
file(MAKE_DIRECTORY ${_headers})
foreach(_folder IN ITEMS ATen c10 caffe2 torch)
  file(CREATE_LINK ${ORCHARD_LIBTORCH}/include/${_folder} ${_headers}/${_folder} SYMBOLIC)
endforeach()

# libtorch.so has no code; it brings whatever its LibTorch is made of, with CUDA or without, so that one
# program runs with both. The libraries of CUDA itself need not be here to link.
add_library(torch INTERFACE)
target_include_directories(torch SYSTEM INTERFACE ${_headers} ${_headers}/torch/csrc/api/include)
target_link_libraries(torch INTERFACE
  ${ORCHARD_LIBTORCH}/lib/libtorch_cpu.so ${ORCHARD_LIBTORCH}/lib/libc10.so
  -Wl,--push-state,--no-as-needed,${ORCHARD_LIBTORCH}/lib/libtorch.so,--pop-state
  -Wl,--allow-shlib-undefined)
