# Every library from Debian; the static archive where Debian ships one, so that podlab is one file.
find_package(Threads REQUIRED)
set(Protobuf_USE_STATIC_LIBS ON)
find_package(Protobuf 3.21 REQUIRED)
find_path(SPDLOG_INCLUDE spdlog/spdlog.h REQUIRED)
find_package(nlohmann_json REQUIRED)
set(OPENSSL_USE_STATIC_LIBS ON)
find_package(OpenSSL 3 REQUIRED)

# podlab_find_library(<target> <name> <header>): an imported target for a library without a CMake package.
function(podlab_find_library target name header)
  find_library(${target}_LIBRARY NAMES lib${name}.a ${name} REQUIRED)
  find_path(${target}_INCLUDE ${header} REQUIRED)
  add_library(${target} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${target}_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${${target}_INCLUDE})
endfunction()

podlab_find_library(sqlite3 sqlite3 sqlite3.h)
podlab_find_library(yaml yaml yaml.h)
podlab_find_library(nghttp2 nghttp2 nghttp2/nghttp2.h)
podlab_find_library(seccomp seccomp seccomp.h)
# Of libarchive only the tar reader with gzip and zstd is used: its other libraries are not needed.
podlab_find_library(zstd zstd zstd.h)
podlab_find_library(zlib z zlib.h)
# Patterns of custom resources: linear in the text, whatever the pattern.
podlab_find_library(re2 re2 re2/re2.h)
set_property(TARGET re2 PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads)
podlab_find_library(archive archive archive.h)
set_property(TARGET archive PROPERTY INTERFACE_LINK_LIBRARIES zstd zlib)
# In place of glibc's heap, which keeps most of what thousands of pods took while they started. Sanitizers bring their own.
if(PODLAB_SANITIZE)
  add_library(heap INTERFACE)
else()
  podlab_find_library(heap jemalloc jemalloc/jemalloc.h)
  set_property(TARGET heap PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads dl)
endif()
find_path(ASIO_INCLUDE asio.hpp REQUIRED)

# Asio 1.22 does not recognise clang's coroutines by itself.
add_library(asio INTERFACE)
target_include_directories(asio SYSTEM INTERFACE ${ASIO_INCLUDE})
# asio tells whether there is an aligned_alloc by what was included before it: files would differ in how they free.
target_compile_definitions(asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED ASIO_HAS_CO_AWAIT ASIO_HAS_STD_COROUTINE
                                          ASIO_DISABLE_STD_ALIGNED_ALLOC)
target_link_libraries(asio INTERFACE Threads::Threads)

# Debian has spdlog and fmt as shared libraries only: header-only, in src/common/log.cpp alone.
add_library(spdlog_headers INTERFACE)
target_include_directories(spdlog_headers SYSTEM INTERFACE ${SPDLOG_INCLUDE})
target_compile_definitions(spdlog_headers INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY SPDLOG_HEADER_ONLY)
