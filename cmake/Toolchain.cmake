# Language level, warnings, sanitizers, ccache and linker.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(CCACHE ccache)
if(CCACHE)
  # What ccache asks for to cache files that are compiled with a precompiled header; the compiler tells it what it has read.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_DEPEND=1
                                ${CCACHE})
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  find_program(LLD NAMES ld.lld-${CMAKE_CXX_COMPILER_VERSION_MAJOR} ld.lld-19 ld.lld)
  if(LLD)
    add_link_options(--ld-path=${LLD})
  endif()
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor -ffp-contract=off)
if(PODLAB_WERROR)
  add_compile_options(-Werror)
endif()
if(PODLAB_SANITIZE)
  add_compile_options(-fsanitize=${PODLAB_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PODLAB_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  # One file to copy to a machine: only glibc stays dynamic.
  add_link_options(-static-libstdc++ -static-libgcc -Wl,--gc-sections)
  add_compile_options(-ffunction-sections -fdata-sections)
  # What runs often is known from scripts/profile (docs/adr/0018-profile.md). What has changed since is compiled as without it.
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 19)
    # The same names for functions of one file in whatever folder the sources are.
    add_compile_options("SHELL:-mllvm -static-func-full-module-prefix=false")
    if(PODLAB_RECORD_PROFILE)
      add_compile_options(-fprofile-generate)
      add_link_options(-fprofile-generate)
    else()
      set(PROFILE ${CMAKE_SOURCE_DIR}/cmake/release.profdata)
      add_compile_options(-fprofile-use=${PROFILE} -Wno-backend-plugin -Wno-profile-instr-out-of-date
                          -Wno-profile-instr-unprofiled)
      # Another one makes other flags, by which all is compiled anew: objects of two do not go together.
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROFILE})
      file(SHA256 ${PROFILE} PROFILE_HASH)
      add_compile_definitions(PODLAB_PROFILE=${PROFILE_HASH})
      # Across files as well; each of the many programs of the tests would be compiled anew for it.
      if(LLD AND NOT PODLAB_TESTS)
        add_compile_options(-flto=thin)
        add_link_options(-flto=thin -Wl,--thinlto-cache-dir=${CMAKE_BINARY_DIR}/thinlto)
      endif()
    endif()
  endif()
endif()
if(PODLAB_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
