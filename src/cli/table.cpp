#include "cli/table.hpp"

#include <algorithm>

namespace podlab::cli {
namespace {

/// Characters, not bytes: UTF-8 continuation bytes take no room.
std::size_t widthOf(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string Table::text(bool withHeader) const {
  std::vector<std::size_t> widths;
  for (std::size_t r = withHeader ? 0 : 1; r < rows_.size(); ++r) {
    widths.resize(std::max(widths.size(), rows_[r].size()));
    for (std::size_t c = 0; c < rows_[r].size(); ++c)
      widths[c] = std::max(widths[c], widthOf(rows_[r][c]));
  }
  std::string out;
  for (std::size_t r = withHeader ? 0 : 1; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < rows_[r].size(); ++c) {
      out += rows_[r][c];
      if (c + 1 < rows_[r].size()) out.append(widths[c] - widthOf(rows_[r][c]) + 3, ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace podlab::cli
