# Speed-ups that are used when present, and the sanitizers of the presets `asan` and `tsan`.
find_program(ORCHARD_CCACHE ccache)
if(ORCHARD_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ORCHARD_CCACHE})
endif()

find_program(ORCHARD_MOLD mold)
if(ORCHARD_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

set(ORCHARD_SANITIZE "" CACHE STRING "Comma-separated sanitizers, for example address,undefined")
if(ORCHARD_SANITIZE)
  add_compile_options(-fsanitize=${ORCHARD_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ORCHARD_SANITIZE})
endif()
