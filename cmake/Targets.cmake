# One library a folder of src/, one test binary a folder of tests/.

# The headers of libraries take longer to compile than most files of podlab's own: they are precompiled, three times, as their
# users' flags differ. Files include what they use all the same; the preset asan, which compiles without, holds them to it.
set(podlab_std_headers <algorithm> <array> <chrono> <deque> <functional> <map> <memory> <optional> <set> <span> <string>
                       <string_view> <unordered_map> <unordered_set> <utility> <vector> <asio.hpp>)
set(podlab_api_headers <coordination_v1.pb.h> <core_v1.pb.h> <core_v1_persistent_volumes.pb.h> <storage_v1.pb.h>)

# podlab_precompile(<target> <owner> <headers>...): the owner precompiles the headers, others use its file.
function(podlab_precompile target owner)
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

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
  if(folder STREQUAL "api" OR podlab_api IN_LIST arg_DEPS)
    podlab_precompile(podlab_${folder} podlab_api ${podlab_std_headers} ${podlab_api_headers})
  else()
    podlab_precompile(podlab_${folder} podlab_common ${podlab_std_headers})
  endif()
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
  podlab_precompile(podlab_${name}_test podlab_api_test ${podlab_std_headers} ${podlab_api_headers} <gmock/gmock.h>
                    <gtest/gtest.h>)
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
  target_link_libraries(podlab_${name}_bench PRIVATE ${arg_DEPS} ${arg_LIBS} benchmark::benchmark heap)
endfunction()
