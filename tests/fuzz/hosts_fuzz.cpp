// Whatever a cluster file calls a host: it is refused with a reason, or ssh cannot take it for a
// flag nor a shell for more than a word; a word for a shell is quoted to its end; and whatever a
// machine says of itself is judged.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "cli/host_setup.hpp"
#include "cli/ssh.hpp"

namespace {

using namespace podlab;

void require(bool holds, std::string_view what, std::string_view input) {
  if (holds) return;
  std::cerr << what << ": " << input << "\n";
  std::abort();
}

void checkHost(std::string_view text) {
  const auto host = lab::parseNodeHost(text);
  if (!host) {
    require(!host.status().message().empty(), "no reason", text);
    return;
  }
  require(!host->name.empty() && host->name.front() != '-', "a flag for a host", text);
  require(host->user.empty() || host->user.front() != '-', "a flag for a user", text);
  require(host->port >= 0 && host->port <= 65535, "a strange port", text);
  constexpr std::string_view kOfShells = " \t\n'\"`$;&|<>(){}";
  require((host->user + host->name).find_first_of(kOfShells) == std::string::npos,
          "more than a word", text);
  require(lab::isSameMachine(*host, *host), "another machine than itself", text);
}

/// Reads one word as POSIX has it: in single quotes nothing is special but their end.
void checkWord(std::string_view text) {
  const std::string word = cli::shellWord(text);
  std::string read;
  bool quoted = false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\'') {
      quoted = !quoted;
    } else if (!quoted && word[i] == '\\') {
      read += word.at(++i);
    } else {
      constexpr std::string_view kSpecial = " \t\n\"`$;&|<>(){}*?[]#~!";
      require(quoted || kSpecial.find(word[i]) == std::string_view::npos, "not quoted", text);
      read += word[i];
    }
  }
  require(!quoted && read == text && !word.empty(), "another word", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  checkHost(text);
  checkWord(text);
  (void)cli::judgeMachine(cli::readMachineFacts(text), "x86_64");
  (void)cli::sshFailure({"", "m1", 0}, text);
  return 0;
}
