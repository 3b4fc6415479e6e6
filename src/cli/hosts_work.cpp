#include "cli/hosts_work.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "common/sync.hpp"

namespace podlab::cli {
namespace {

constexpr std::size_t kAtOnce = 12;

struct Work {
  std::size_t count = 0;
  std::function<Co<void>(std::size_t)> step;
  std::size_t next = 0;
};

Co<void> workOn(std::shared_ptr<Work> work) {
  while (work->next < work->count) co_await work->step(work->next++);
}

}  // namespace

Co<void> forEachHost(asio::any_io_executor executor, std::size_t count,
                     std::function<Co<void>(std::size_t)> step) {
  auto work = std::make_shared<Work>();
  work->count = count;
  work->step = std::move(step);
  TaskGroup tasks(std::move(executor));
  for (std::size_t i = 0; i < std::min(count, kAtOnce); ++i) tasks.spawn("host", workOn(work));
  co_await tasks.join();
}

std::string countHosts(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " host" : " hosts");
}

void tellOfHost(const Context& context, Progress& progress, const Status& status,
                const std::string& line) {
  if (context.quiet && !status.ok()) {
    std::fprintf(stderr, "%s\n", line.c_str());
  } else {
    progress.done(line);
  }
}

}  // namespace podlab::cli
