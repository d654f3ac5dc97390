# Layers as targets: vgg_<folder> holds src/<folder>, and links only what lies below it, so that a wrong include of a
# library's header does not compile and a wrong call does not link.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(vgg_flags INTERFACE)
target_compile_definitions(vgg_flags INTERFACE _GNU_SOURCE)
target_compile_options(vgg_flags INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
                       -Wpointer-arith -Wundef $<$<CONFIG:Release>:-O3>)
# Contraction is the compiler's choice per file otherwise; products that must round twice say so by being apart.
target_compile_options(vgg_flags INTERFACE -fno-math-errno -fno-trapping-math)
# What was timed for one build is not taken for another's: build_id().
target_link_options(vgg_flags INTERFACE -Wl,--build-id)
if(VGG11_WERROR)
  target_compile_options(vgg_flags INTERFACE -Werror)
endif()
if(VGG11_SANITIZE)
  target_compile_options(vgg_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g)
  target_link_options(vgg_flags INTERFACE -fsanitize=address,undefined)
endif()

# OpenMP's barriers and locks are known to this sanitizer by way of Archer, which clang's OpenMP library loads. Of libraries that were
# built without it, calls are passed over.
if(VGG11_SANITIZE_THREADS)
  file(REAL_PATH ${CMAKE_C_COMPILER} compiler)
  cmake_path(GET compiler PARENT_PATH compiler_folder)
  find_library(VGG11_ARCHER archer HINTS ${compiler_folder}/../lib)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL Clang OR NOT VGG11_ARCHER)
    message(FATAL_ERROR "VGG11_SANITIZE_THREADS needs clang and libarcher.so (Debian: clang, libomp-dev)")
  endif()
  target_compile_options(vgg_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer -g)
  target_link_options(vgg_flags INTERFACE -fsanitize=thread)
endif()

if(VGG11_FUZZ)
  set(fuzz_options -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -g)
  target_compile_definitions(vgg_flags INTERFACE FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
  target_compile_options(vgg_flags INTERFACE ${fuzz_options})
  target_link_options(vgg_flags INTERFACE -fsanitize=address,undefined)
endif()

# vgg_add_layer(<folder> SOURCES <file>... [BELOW <folder>...] [PRIVATE_LIBS <target>...])
function(vgg_add_layer folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;BELOW;PRIVATE_LIBS" ${ARGN})
  add_library(vgg_${folder} STATIC ${ARG_SOURCES})
  target_include_directories(vgg_${folder} PUBLIC ${CMAKE_SOURCE_DIR}/include PRIVATE ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM ARG_BELOW PREPEND vgg_)
  target_link_libraries(vgg_${folder} PUBLIC vgg_flags ${ARG_BELOW} PRIVATE ${ARG_PRIVATE_LIBS})
endfunction()

# vgg_add_test(<name> SOURCES <file>... [LIBS <target>...] [RANKS <n>...] [ARGS <word>...] [LABELS <label>...] [TIMEOUT <s>])
# A Check program, called with ARGS. With RANKS it is run under mpirun once for each count, as <name>-np<n>.
function(vgg_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;RANKS;ARGS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE VGG_TEST_FIXTURES="${CMAKE_SOURCE_DIR}/tests/fixtures" VGG_TEST_DATA="${CMAKE_SOURCE_DIR}/data/mnist")
  target_link_libraries(${name} PRIVATE vgg_test_support ${ARG_LIBS} PkgConfig::CHECK)
  if(NOT ARG_RANKS)
    add_test(NAME ${name} COMMAND ${vgg_job} $<TARGET_FILE:${name}> ${ARG_ARGS})
    vgg_set_test_properties(${name} 1 ${ARG_TIMEOUT} "${ARG_LABELS}")
  endif()
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${name}-np${ranks} COMMAND ${vgg_job} ${MPIEXEC_EXECUTABLE} --oversubscribe -np ${ranks} $<TARGET_FILE:${name}> ${ARG_ARGS})
    vgg_set_test_properties(${name}-np${ranks} ${ranks} ${ARG_TIMEOUT} "mpi;${ARG_LABELS}")
  endforeach()
endfunction()

# vgg_add_twin(<name> <suffix> <ranks> <timeout> <labels> <variable>): the test's program once more, as <name>-<suffix>, with that
# variable in its environment; on 0 ranks without MPI.
function(vgg_add_twin name suffix ranks timeout labels variable)
  set(launcher "")
  set(processes 1)
  if(ranks GREATER 0)
    set(launcher ${MPIEXEC_EXECUTABLE} --oversubscribe -np ${ranks})
    set(processes ${ranks})
  endif()
  add_test(NAME ${name}-${suffix} COMMAND ${vgg_job} ${launcher} $<TARGET_FILE:${name}>)
  vgg_set_test_properties(${name}-${suffix} ${processes} ${timeout} "${labels}")
  set_property(TEST ${name}-${suffix} APPEND PROPERTY ENVIRONMENT ${variable})
endfunction()

# A program over ranks of one machine that is cut into artificial nodes with so many ranks.
function(vgg_add_nodes_test name)
  string(REPLACE ";" "," nodes "${ARGN}")
  string(REPLACE ";" "+" sum "${ARGN}")
  math(EXPR ranks "${sum}")
  vgg_add_twin(${name} nodes-${nodes} ${ranks} 300 mpi VGG11_TEST_NODES=${nodes})
endfunction()

# vgg_add_cpu_tests(<name> <level>...): the test once more as processors of less compute it, as <name>-<level>. The levels are those
# of VGG11_CPU (base/cpu.h); where the processor lacks one, the test is shown as skipped.
function(vgg_add_cpu_tests name)
  foreach(level IN LISTS ARGN)
    vgg_add_twin(${name} ${level} 0 1800 cpu VGG11_CPU=${level})
    set_tests_properties(${name}-${level} PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()
endfunction()

# vgg_fail_memory(<target>): allocations of this program can be made to fail, see tests/support/failing_memory.h.
function(vgg_fail_memory target)
  target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/failing_memory.c)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE PkgConfig::JANSSON ZLIB::ZLIB)
  foreach(wrapped malloc calloc realloc aligned_alloc strdup mmap fopen fdopen open_memstream opendir getline __getdelim asprintf argp_parse
          inflateInit2_)
    target_link_options(${target} PRIVATE -Wl,--wrap=${wrapped})
  endforeach()
endfunction()

# vgg_fail_sync(<target>): an fsync() of this program can be made to fail, see tests/support/failing_sync.h.
function(vgg_fail_sync target)
  target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/failing_sync.c)
  target_link_options(${target} PRIVATE -Wl,--wrap=fsync)
endfunction()

# Labels "fault" and "fault-<number>" for each row of the table of faults whose expression matches the test's name.
file(STRINGS ${CMAKE_SOURCE_DIR}/tests/faults/faults.tsv vgg_fault_rows REGEX "^[0-9]")
set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/faults/faults.tsv)
function(vgg_fault_labels test out)
  set(labels "")
  foreach(row IN LISTS vgg_fault_rows)
    string(REGEX MATCH "^[0-9]+" number "${row}")
    string(REGEX MATCH "[^\t]+$" names "${row}")
    if(test MATCHES "${names}")
      list(APPEND labels fault fault-${number})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES labels)
  set(${out} "${labels}" PARENT_SCOPE)
endfunction()

# Tests of the long tier (label "long"), which the release preset leaves out: what others do at another number of ranks, and walks.
set(vgg_long_tests
    "^app_(records|folder)_.*-np4$" "^app_(limits|signals)_.*-np[14]$" "^app_(runs|errors)_.*-np[14]$" "^app_interruptions_.*-np1$" "^app_memory_(Start|Resume|Ranks)$"
    "^test_training-(np[1348]|nodes-.*)$" "^test_stop-np[1348]$" "^test_(resume|resume_as_before|divergence|save_failures|replay_every)-np1$"
    "^test_save_failures-np3$" "^test_(bad_steps|background_saves)-np[13]$" "^test_evaluations-np1$" "^test_micro_batches_training-np[24]$"
    "^test_replay_every-nodes-1,1$" "^test_unlike_ranks-np2$" "^test_check-np[12]$" "^test_exchange-nodes-4,4$" "^app_export_Begin-np1$" "^checkpoint_power_loss$"
    "-all$" "^app_trace_Trace-np[18]$" "^app_doctor_(Steps|Sound)" "^test_machine_peaks-portable$"
    "^test_(network|bf16_rows)-portable$" "^test_replay-portable$" "-(avx2|avx512|avx512_bf16)$")

# Tests of several ranks that mostly wait: for clocks, for a scheduler. Others may run beside them.
set(vgg_waiting_tests "^app_(slurm|signals_Hang)")

# Tests whose threads the thread sanitizer looks at (label "threads", preset "threads").
set(vgg_thread_tests "^(support_thread_sanitizer|conv_threads|test_watchdog)$")

# The environment of every test: mpirun as root allowed (containers), leaks inside Open MPI not ours. Ranks that wait leave the
# processor to those that work, and none is bound to a core: by default every mpirun of one or two ranks takes the same
# cores, and tests that run at the same time would crowd there. The sanitizers stretch every limit on time, and what cannot be allocated
# is for the program to tell, as without them.
function(vgg_set_test_properties test ranks timeout labels)
  set(slowness 1)
  if(VGG11_SANITIZE)
    set(slowness 5)
  elseif(VGG11_SANITIZE_THREADS)
    set(slowness 10)
  endif()
  math(EXPR limit "${timeout} * ${slowness}")
  set(environment OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
      OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none OMP_WAIT_POLICY=passive
      VGG11_TEST_LIMIT_S=${limit} VGG11_TEST_SLOWNESS=${slowness}
      "ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:allocator_may_return_null=1"
      "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0:fast_unwind_on_malloc=0"
      UBSAN_OPTIONS=print_stacktrace=1)
  if(VGG11_SANITIZE_THREADS)
    list(APPEND environment OMP_TOOL_LIBRARIES=${VGG11_ARCHER} TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1)
  endif()
  if(ranks GREATER 2)
    set(ranks 2)
  endif()
  if(test MATCHES "${vgg_waiting_tests}")
    set(ranks 1)
  endif()
  # The limit that counts is job.py's; ctest's own, which ends only what it started itself, comes after.
  math(EXPR last_limit "${limit} + 60")
  vgg_fault_labels(${test} faults)
  foreach(pattern IN LISTS vgg_long_tests)
    if(test MATCHES "${pattern}")
      list(APPEND labels long)
    endif()
  endforeach()
  if(VGG11_SANITIZE_THREADS AND test MATCHES "${vgg_thread_tests}")
    list(APPEND labels threads)
  endif()
  set_tests_properties(${test} PROPERTIES ENVIRONMENT "${environment}" TIMEOUT ${last_limit} LABELS "${labels};${faults}" PROCESSORS ${ranks})
endfunction()
