#pragma once
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "api/kinds.hpp"
#include "api/object.hpp"

namespace podlab::api {

/// An object from protobuf's text form, whose field names are those of the schema.
template <typename T>
T fromText(const std::string& text) {
  T message;
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(text, &message)) << text;
  return message;
}

/// A small valid pod, defaults applied, with `more` merged into it first.
inline corev1::Pod makePod(const std::string& more = "") {
  corev1::Pod pod = fromText<corev1::Pod>(R"(
      metadata { name: "p" namespace: "n" }
      spec { containers { name: "c" image: "busybox:1" } })");
  pod.MergeFrom(fromText<corev1::Pod>(more));
  kindFor<corev1::Pod>().strategy.applyDefaults(pod);
  return pod;
}

/// "field: message" of each cause, one a line.
inline std::string lines(const std::vector<Cause>& causes) {
  std::string text;
  for (const Cause& cause : causes) text += cause.field + ": " + cause.message + "\n";
  return text;
}

}  // namespace podlab::api
