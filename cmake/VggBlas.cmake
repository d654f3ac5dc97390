# A BLAS with C's interface (cblas.h): by pkg-config, else by CMake's own search, which takes BLA_VENDOR. The program is not linked with it
# but loads it by name (src/kernels/blas.c says why), so that it has to be a shared library.
#   VGG_BLAS_INCLUDE   folder of cblas.h
#   VGG_BLAS_FILE      the library
#   VGG_BLAS_SONAME    the name by which the dynamic linker finds it
#   VGG_BLAS_OBJECT    that name without what follows ".so"
#   VGG_BLAS_NAME      what people call it
#   VGG_BLAS_VERSION   empty if unknown
include(CheckLibraryExists)

# Sets VGG_BLAS_FILE to the first of the libraries that has the interface.
function(vgg_find_cblas)
  foreach(library IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER ${library} id)
    if(library MATCHES "\\.so[.0-9]*$" AND EXISTS ${library})
      check_library_exists(${library} cblas_sgemm "" VGG_BLAS_HAS_SGEMM_${id})
      if(VGG_BLAS_HAS_SGEMM_${id})
        set(VGG_BLAS_FILE ${library} PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

set(CMAKE_REQUIRED_QUIET ON)
pkg_search_module(VGG_BLAS_PC QUIET openblas blis flexiblas cblas)
vgg_find_cblas(${VGG_BLAS_PC_LINK_LIBRARIES})
set(VGG_BLAS_VERSION ${VGG_BLAS_PC_VERSION})
if(NOT VGG_BLAS_FILE)
  set(VGG_BLAS_VERSION "")
  find_package(BLAS QUIET)
  find_library(VGG_CBLAS_LIBRARY cblas)
  vgg_find_cblas(${BLAS_LIBRARIES} ${VGG_CBLAS_LIBRARY})
endif()
unset(CMAKE_REQUIRED_QUIET)
cmake_path(GET VGG_BLAS_FILE PARENT_PATH folder)
find_path(VGG_BLAS_INCLUDE cblas.h HINTS ${VGG_BLAS_PC_INCLUDE_DIRS} ${folder}/../include PATH_SUFFIXES openblas blis flexiblas)
if(NOT VGG_BLAS_FILE OR NOT VGG_BLAS_INCLUDE)
  message(FATAL_ERROR "No shared BLAS library with cblas.h was found. OpenBLAS will do, and BLIS, FlexiBLAS or any other with C's "
          "interface; PKG_CONFIG_PATH or -DCMAKE_PREFIX_PATH=<folder> says where it is.")
endif()

execute_process(COMMAND ${CMAKE_READELF} -d ${VGG_BLAS_FILE} OUTPUT_VARIABLE dynamic ERROR_QUIET)
cmake_path(GET VGG_BLAS_FILE FILENAME VGG_BLAS_SONAME)
if(dynamic MATCHES "SONAME[^\n]*\\[([^]\n]+)\\]")
  set(VGG_BLAS_SONAME ${CMAKE_MATCH_1})
endif()
string(REGEX REPLACE "\\.so.*" "" VGG_BLAS_OBJECT ${VGG_BLAS_SONAME})
set(VGG_BLAS_NAME BLAS)
foreach(name OpenBLAS BLIS FlexiBLAS)
  string(TOLOWER ${name} lower)
  if(VGG_BLAS_OBJECT MATCHES "^lib${lower}")
    set(VGG_BLAS_NAME ${name})
  endif()
endforeach()
