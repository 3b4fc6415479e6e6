#pragma once
#include <string>
#include <vector>

namespace podlab::cli {

/// Columns as kubectl prints them: left-aligned, three spaces between, the last one unpadded.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() <= 1; }
  std::string text(bool withHeader = true) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace podlab::cli
