#include "image/reference.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace podlab::image {
namespace {

const std::string kHex(64, 'f');

struct Good {
  std::string text;
  std::string normalised;
};

// The rows follow the tables of github.com/distribution/reference (normalize_test, reference_test).
TEST(Reference, IsNormalisedAsDockerDoes) {
  const std::vector<Good> rows{
      {"nginx", "docker.io/library/nginx:latest"},
      {"nginx:1.25", "docker.io/library/nginx:1.25"},
      {"library/nginx", "docker.io/library/nginx:latest"},
      {"docker.io/nginx", "docker.io/library/nginx:latest"},
      {"index.docker.io/nginx", "docker.io/library/nginx:latest"},
      {"index.docker.io/user/app:v1", "docker.io/user/app:v1"},
      {"user/app", "docker.io/user/app:latest"},
      {"docker/docker", "docker.io/docker/docker:latest"},
      {"127.0.0.1:5000/docker/docker", "127.0.0.1:5000/docker/docker:latest"},
      {"localhost/app", "localhost/app:latest"},
      {"localhost:5000/app:v2", "localhost:5000/app:v2"},
      {"[2001:db8::1]:5000/repo", "[2001:db8::1]:5000/repo:latest"},
      {"[2001:db8::1]/repo:tag", "[2001:db8::1]/repo:tag"},
      {"registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"},
      {"Uppercase.example/app", "Uppercase.example/app:latest"},
      {"UPPER/app", "UPPER/app:latest"},
      {"test_com/foo", "docker.io/test_com/foo:latest"},
      {"foo__bar/b--c.d_e", "docker.io/foo__bar/b--c.d_e:latest"},
      {"app:" + std::string(128, 't'), "docker.io/library/app:" + std::string(128, 't')},
      {"app@sha256:" + kHex, "docker.io/library/app@sha256:" + kHex},
      {"app:v1@sha256:" + kHex, "docker.io/library/app:v1@sha256:" + kHex},
      {"xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com"},
  };
  for (const auto& row : rows) {
    const auto parsed = parseReference(row.text);
    ASSERT_TRUE(parsed.ok()) << row.text << ": " << parsed.status().toString();
    EXPECT_EQ(parsed->toString(), row.normalised) << row.text;
    const auto again = parseReference(parsed->toString());
    ASSERT_TRUE(again.ok()) << row.text;
    EXPECT_EQ(*again, *parsed) << row.text;
  }
}

struct Bad {
  std::string text;
  std::string why;
};

TEST(Reference, IsRefusedInDockersWords) {
  const std::string format = "invalid reference format";
  const std::vector<Bad> rows{
      {"", format},
      {"Nginx", "invalid reference format: repository name (Nginx) must be lowercase"},
      {"docker.io/user/App:v1",
       "invalid reference format: repository name (user/App) must be lowercase"},
      {"https://github.com/docker/docker", format},
      {"-foo", format},
      {"-foo/bar", format},
      {"foo-/bar", format},
      {"foo.-bar/x", format},
      {"a..b", format},
      {"a___b", format},
      {"foo/bar//baz", format},
      {"foo//bar", format},
      {"/foo", format},
      {"foo/", format},
      {"nginx:", format},
      {"nginx:-tag", format},
      {"nginx:a b", format},
      {"nginx@", format},
      {"nginx@sha256:abc", format},
      {"nginx@sha256:" + std::string(40, 'f'), "invalid checksum digest length"},
      {"nginx@md5:" + kHex, "unsupported digest algorithm"},
      {"nginx@sha256:" + std::string(64, 'F'), "invalid checksum digest format"},
      {"nginx@sha256:" + kHex + ":tag", format},
      {"app:" + std::string(129, 't'), format},
      {"localhost:x/app", format},
      {"[2001:db8::1/app", format},
      {"[]/app", format},
      {kHex, "invalid repository name (" + kHex + "), cannot specify 64-byte hexadecimal strings"},
      {"a/" + std::string(255, 'a'), "repository name must not be more than 255 characters"},
      {"ngin\xc3\xa9", format},
  };
  for (const auto& row : rows) {
    const auto parsed = parseReference(row.text);
    ASSERT_FALSE(parsed.ok()) << row.text << " became " << parsed->toString();
    EXPECT_EQ(parsed.status().message(), row.why) << row.text;
    EXPECT_TRUE(parsed.status().is(Code::kInvalid));
  }
}

}  // namespace
}  // namespace podlab::image
