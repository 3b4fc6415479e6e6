#include <gtest/gtest.h>

#include "cli/man_command.hpp"

namespace podlab::cli {
namespace {

TEST(ManualPage, HasEveryCommandWithItsOwnFlagsAndNoHiddenOnes) {
  CLI::App app("Does things.", "podlab");
  bool quiet = false;
  std::string name, file, secret;
  app.add_flag("-q,--quiet", quiet, "Say nothing");
  auto* node = app.add_subcommand("node", "About nodes");
  auto* rm = node->add_subcommand("rm", ".Removes one\\all");
  rm->add_option("NAME", name, "The node");
  rm->add_option("--from-file", file, "Where it is");
  rm->add_option("--secret", secret, "x")->group("");
  app.add_subcommand("hidden", "y")->group("");

  const std::string page = manualPage(app, "1.2-3");
  for (const char* part :
       {".TH PODLAB 1 \"\" \"podlab 1.2\\-3\"", "podlab \\- Does things.\n",
        ".SS \\fBpodlab node rm\\fR \\fINAME\\fR [flags]\n\\&.Removes one\\eall\n",
        "\\fB\\-\\-from\\-file\\fR \\fIVALUE\\fR\nWhere it is\n",
        "\\fB\\-q\\fR, \\fB\\-\\-quiet\\fR\nSay nothing\n"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part << "\nin\n" << page;
  }
  EXPECT_EQ(page.find("secret"), std::string::npos);
  EXPECT_EQ(page.find("hidden"), std::string::npos);
  EXPECT_EQ(page.find("Say nothing"), page.rfind("Say nothing"));
}

}  // namespace
}  // namespace podlab::cli
