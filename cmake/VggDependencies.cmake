# Libraries, each private to the layer that uses it. What is optional is looked for quietly; `vgg11_dist info` says what is in.
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(MPI REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
include(VggBlas)

find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h)
find_library(DNNL_LIBRARY dnnl)
find_package(PNG QUIET)

# The installed program finds libraries of a module or a home folder where they were when it was built; those of the system need no help.
foreach(library IN LISTS MPI_C_LIBRARIES ZLIB_LIBRARIES JANSSON_LINK_LIBRARIES PNG_LIBRARIES DNNL_LIBRARY OpenMP_C_LIBRARIES)
  file(REAL_PATH "${library}" file)
  cmake_path(GET file PARENT_PATH folder)
  if(EXISTS ${file} AND NOT folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    list(APPEND CMAKE_INSTALL_RPATH ${folder})
  endif()
endforeach()
list(REMOVE_DUPLICATES CMAKE_INSTALL_RPATH)

if(VGG11_TESTS)
  if(NOT CHECK_FOUND)
    message(FATAL_ERROR "The tests need the library Check; -DVGG11_TESTS=OFF builds the program alone.")
  endif()
  find_package(Python3 QUIET COMPONENTS Interpreter)
  # A test's command begins with this, so that a time limit ends all its processes, and none is left behind.
  if(Python3_FOUND)
    set(vgg_job ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/support/job.py)
  endif()
endif()
