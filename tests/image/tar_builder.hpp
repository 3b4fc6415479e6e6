#pragma once
#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace podlab::image {

/// A ustar archive, entry by entry (POSIX.1-1988), also such as no tar(1) would write.
class TarBuilder {
 public:
  TarBuilder& file(const std::string& name, std::string_view content, int mode = 0644) {
    return add(name, '0', mode, content, "");
  }
  TarBuilder& folder(const std::string& name, int mode = 0755) {
    return add(name, '5', mode, "", "");
  }
  TarBuilder& symlink(const std::string& name, const std::string& target) {
    return add(name, '2', 0777, "", target);
  }
  TarBuilder& hardLink(const std::string& name, const std::string& target) {
    return add(name, '1', 0644, "", target);
  }
  TarBuilder& device(const std::string& name) { return add(name, '3', 0666, "", ""); }
  TarBuilder& fifo(const std::string& name) { return add(name, '6', 0600, "", ""); }
  /// A pax header with one extended attribute, for the next entry.
  TarBuilder& attribute(const std::string& name, const std::string& value) {
    const std::string body = " SCHILY.xattr." + name + "=" + value + "\n";
    std::size_t length = body.size() + 1;
    while (std::to_string(length).size() + body.size() != length) ++length;
    return add("pax", 'x', 0644, std::to_string(length) + body, "");
  }
  std::string text() const { return text_ + std::string(1024, '\0'); }

 private:
  TarBuilder& add(const std::string& name, char type, int mode, std::string_view content,
                  const std::string& link) {
    std::array<char, 512> header{};
    std::memcpy(header.data(), name.data(), std::min<std::size_t>(name.size(), 100));
    std::snprintf(&header[100], 8, "%07o", mode);
    std::snprintf(&header[108], 8, "%07o", 0);
    std::snprintf(&header[116], 8, "%07o", 0);
    std::snprintf(&header[124], 12, "%011o", static_cast<unsigned>(content.size()));
    std::snprintf(&header[136], 12, "%011o", 1'000'000'000);
    std::memset(&header[148], ' ', 8);
    header[156] = type;
    std::memcpy(&header[157], link.data(), std::min<std::size_t>(link.size(), 100));
    std::memcpy(&header[257], "ustar\00000", 8);
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(&header[148], 8, "%06o", sum);
    text_.append(header.data(), header.size());
    text_.append(content);
    text_.append((512 - content.size() % 512) % 512, '\0');
    return *this;
  }

  std::string text_;
};

}  // namespace podlab::image
