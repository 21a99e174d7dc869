# The house from the ground up: a target may link only to folders of lower layers. Folders of one
# layer are strangers to each other. tests/repo holds #includes to the same table.
set(ORCHARD_LAYERS proto core vision,moe,nets,rpc model,clients server experts router training)

# What clients may link, whatever the layer: no LibTorch, no server internals.
set(ORCHARD_CLIENT_DEPS proto core rpc)

function(_orchard_layer folder result)
  set(index 0)
  foreach(layer IN LISTS ORCHARD_LAYERS)
    string(REPLACE "," ";" names "${layer}")
    if(folder IN_LIST names)
      set(${result} ${index} PARENT_SCOPE)
      return()
    endif()
    math(EXPR index "${index} + 1")
  endforeach()
  message(FATAL_ERROR "${folder} is not in ORCHARD_LAYERS (cmake/OrchardLibrary.cmake)")
endfunction()

function(_orchard_check_layers folder)
  _orchard_layer(${folder} own)
  foreach(dep IN LISTS ARGN)
    _orchard_layer(${dep} theirs)
    if(NOT theirs LESS own)
      message(FATAL_ERROR "${folder} (layer ${own}) must not link ${dep} (layer ${theirs})")
    endif()
    if(folder STREQUAL "clients" AND NOT dep IN_LIST ORCHARD_CLIENT_DEPS)
      message(FATAL_ERROR "clients must not link ${dep}: only ${ORCHARD_CLIENT_DEPS}")
    endif()
  endforeach()
endfunction()

# Warnings are errors in our own code; generated and third-party headers are SYSTEM.
function(_orchard_strict target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Werror)
endfunction()

# orchard_library(<folder> SOURCES a.cc… [DEPS core…] [EXTERNAL absl::status…] [PRIVATE torch…])
#   DEPS      folders of lower layers, public
#   EXTERNAL  third-party targets that our headers include
#   PRIVATE   third-party targets that only our .cc files include
function(orchard_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;EXTERNAL;PRIVATE")
  _orchard_check_layers(${folder} ${arg_DEPS})
  set(target orchard_${folder})
  add_library(${target} STATIC ${arg_SOURCES})
  add_library(orchard::${folder} ALIAS ${target})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
  _orchard_strict(${target})
  list(TRANSFORM arg_DEPS PREPEND orchard::)
  target_link_libraries(${target} PUBLIC ${arg_DEPS} ${arg_EXTERNAL} PRIVATE ${arg_PRIVATE})
endfunction()

# orchard_read_torch_once(<target>…): after the targets, and after orchard_nets, which comes first.
# LibTorch's headers are 15 s of CPU in each file that sees them. orchard_nets reads them once, precompiled, for
# itself and for the targets named here: those where most files see them, as to load what was read costs every
# file of a target 5 s. Files include what they need all the same.
function(orchard_read_torch_once)
  foreach(target IN LISTS ARGN)
    if(target STREQUAL "orchard_nets")
      target_precompile_headers(orchard_nets PRIVATE <torch/torch.h>)
    else()
      target_precompile_headers(${target} REUSE_FROM orchard_nets)
    endif()
    target_compile_options(${target} PRIVATE -fpch-preprocess)  # or ccache passes these files over
  endforeach()
endfunction()

# orchard_binary(<name> FOLDER router SOURCES main.cc DEPS router… [EXTERNAL …]) → bin/<name>, installed
function(orchard_binary name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FOLDER" "SOURCES;DEPS;EXTERNAL")
  list(REMOVE_ITEM arg_DEPS ${arg_FOLDER})
  _orchard_check_layers(${arg_FOLDER} ${arg_DEPS})
  list(TRANSFORM arg_DEPS PREPEND orchard::)
  add_executable(${name} ${arg_SOURCES})
  _orchard_strict(${name})
  target_link_libraries(${name} PRIVATE orchard::${arg_FOLDER} ${arg_DEPS} ${arg_EXTERNAL})
  install(TARGETS ${name})
endfunction()

# orchard_test(<name> SOURCES a_test.cc… DEPS moe… [LABELS unit] [EXTERNAL …] [TIMEOUT seconds])
# One program a folder; CTest runs it as one test, so that a filter names a folder: ctest -R unit.moe
function(orchard_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;DEPS;EXTERNAL;LABELS")
  list(TRANSFORM arg_DEPS PREPEND orchard::)
  string(REPLACE "." "_" target ${name})
  add_executable(${target} ${arg_SOURCES})
  _orchard_strict(${target})
  target_link_libraries(${target} PRIVATE ${arg_DEPS} ${arg_EXTERNAL} GTest::gmock GTest::gtest_main)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${target})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}"
                       ENVIRONMENT "ORCHARD_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};ORCHARD_SOURCE_DIR=${CMAKE_SOURCE_DIR}"
                       # Runs of tests are nothing for a user's log.
                       ENVIRONMENT_MODIFICATION "ORCHARD_RUN_LOG=unset:")
endfunction()

# What libraries choose by the CPU, and numeric tests must not depend on: OpenBLAS's kernels, and
# oneDNN's up to AVX2 (docs/decisions/0011-openblas-gets-kernels-of-the-cpus-age.md).
set(ORCHARD_KERNELS PRESCOTT HASWELL ZEN SKYLAKEX AVX2)

# orchard_test_kernels(<name> [FILTER <gtest filter>…])
# Runs orchard_test <name>, or what FILTER names of it, once more under each kind of kernels that the
# CPU has: <name>@PRESCOTT, …
function(orchard_test_kernels name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "FILTER")
  string(REPLACE "." "_" target ${name})
  list(JOIN arg_FILTER ":" filter)
  if(NOT filter)
    set(filter "*")
  endif()
  foreach(kernels IN LISTS ORCHARD_KERNELS)
    add_test(NAME ${name}@${kernels} COMMAND ${CMAKE_SOURCE_DIR}/tests/testing/with_kernels
             ${kernels} $<TARGET_FILE:${target}> --gtest_filter=${filter})
    set_tests_properties(${name}@${kernels} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77
                         LABELS "unit;kernels" ENVIRONMENT
                         "ORCHARD_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};ORCHARD_SOURCE_DIR=${CMAKE_SOURCE_DIR}")
  endforeach()
endfunction()

# orchard_bench(<folder> SOURCES a_bench.cc… DEPS moe…) → bin/bench_<folder>
function(orchard_bench folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;EXTERNAL")
  list(TRANSFORM arg_DEPS PREPEND orchard::)
  add_executable(bench_${folder} ${arg_SOURCES})
  _orchard_strict(bench_${folder})
  target_link_libraries(bench_${folder} PRIVATE ${arg_DEPS} ${arg_EXTERNAL} benchmark::benchmark_main)
endfunction()
