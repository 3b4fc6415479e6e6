# One library a folder of src/, one test binary a folder of tests/.

# podlab_library(<folder> [DEPS <folders>] [LIBS <libraries>]): every .cpp below src/<folder>.
# DEPS are the folders that this one may include (docs/architecture.md, checked by scripts/check-includes).
function(podlab_library folder)
  cmake_parse_arguments(arg "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_main\\.cpp$")
  add_library(podlab_${folder} STATIC ${sources})
  target_include_directories(podlab_${folder} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  list(TRANSFORM arg_DEPS PREPEND podlab_)
  target_link_libraries(podlab_${folder} PUBLIC ${arg_DEPS} ${arg_LIBS})
endfunction()

# podlab_test(<name> [DEPS <folders>] [LIBS <libraries>] [LABEL unit|integration] [TIMEOUT <seconds>]):
# every *_test.cpp of the current folder.
function(podlab_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "DEPS;LIBS" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_fuzz\\.cpp$")
  add_executable(podlab_${name}_test ${sources})
  list(TRANSFORM arg_DEPS PREPEND podlab_)
  target_include_directories(podlab_${name}_test PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(podlab_${name}_test PRIVATE PODLAB_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(podlab_${name}_test PRIVATE ${arg_DEPS} ${arg_LIBS} GTest::gmock GTest::gtest_main)
  # What is disabled is no test, but a process that a test starts.
  gtest_discover_tests(podlab_${name}_test DISCOVERY_MODE PRE_TEST NO_PRETTY_VALUES TEST_PREFIX ${name}/
                       TEST_FILTER -*.DISABLED_* PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
endfunction()

# podlab_fuzz(<name> [DEPS <folders>]): a libFuzzer target from <name>_fuzz.cpp.
function(podlab_fuzz name)
  cmake_parse_arguments(arg "" "" "DEPS;LIBS" ${ARGN})
  if(NOT PODLAB_FUZZ)
    return()
  endif()
  add_executable(podlab_${name}_fuzz ${name}_fuzz.cpp)
  list(TRANSFORM arg_DEPS PREPEND podlab_)
  target_link_options(podlab_${name}_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_libraries(podlab_${name}_fuzz PRIVATE ${arg_DEPS} ${arg_LIBS})
endfunction()

# podlab_bench(<name> [DEPS <folders>]): a Google Benchmark binary from bench/<name>_bench.cpp.
function(podlab_bench name)
  cmake_parse_arguments(arg "" "" "DEPS;LIBS" ${ARGN})
  add_executable(podlab_${name}_bench ${name}_bench.cpp)
  list(TRANSFORM arg_DEPS PREPEND podlab_)
  target_include_directories(podlab_${name}_bench PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(podlab_${name}_bench PRIVATE PODLAB_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(podlab_${name}_bench PRIVATE ${arg_DEPS} ${arg_LIBS} benchmark::benchmark)
endfunction()
