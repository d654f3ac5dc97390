# Libraries, each private to the layer that uses it. What is optional is looked for quietly; `vgg11_dist info` says what is in.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(MPI REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(OPENBLAS REQUIRED openblas)

find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h)
find_library(DNNL_LIBRARY dnnl)
find_package(PNG QUIET)

if(VGG11_TESTS)
  pkg_check_modules(CHECK REQUIRED IMPORTED_TARGET check)
  find_package(Python3 QUIET COMPONENTS Interpreter)
  # A test's command begins with this, so that a time limit ends all its processes, and none is left behind.
  if(Python3_FOUND)
    set(vgg_job ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/support/job.py)
  endif()
endif()
