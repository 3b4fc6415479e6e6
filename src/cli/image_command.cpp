#include "cli/image_command.hpp"

#include <unistd.h>

#include <cstdio>
#include <functional>
#include <memory>

#include <asio/io_context.hpp>

#include "api/age.hpp"
#include "cli/run_again.hpp"
#include "cli/session.hpp"
#include "cli/table.hpp"
#include "common/json.hpp"
#include "common/real_clock.hpp"
#include "image/build.hpp"
#include "image/source.hpp"
#include "image/store.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {
namespace {

struct ImageOptions {
  image::LoadOptions load;
  image::PullOptions pull;
  std::string folder;
  std::string name;
  image::RootfsOptions rootfs;
  bool noDependencies = false;
  image::ConfigOptions config;
  std::string entrypoint;
  std::string command;
  std::vector<std::string> references;
  std::string output;
  bool all = false;
};

std::string sizeText(std::uint64_t bytes) {
  static const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f%s" : "%.1f%s", value,
                kUnits[unit]);
  return text;
}

/// Runs `change` with the store locked. Layers are unpacked, and removed, with the owners that a
/// lab of this user has: an ordinary user's command goes on in a user namespace as its labs have
/// it.
int changeStore(const Context& context, const std::function<Status(image::StoreChange&)>& change) {
  auto root = lab::imageStoreRoot();
  if (!root) return fail(root.status());
  if (::geteuid() != 0) {
    const auto code = runAgainAsRoot();
    return code ? *code : fail(code.status());
  }
  auto files = makeRealFilesystem();
  image::Store store(*files, *root);
  auto begun = image::StoreChange::begin(
      store, [&] { say(context, "Waiting for another podlab image command to end ..."); });
  if (!begun) return fail(begun.status());
  const Status status = change(*begun);
  if (status.is(Code::kCanceled)) return kInterrupted;
  return status.ok() ? kDone : fail(status);
}

/// A line for the image, and what of it could not be kept.
void report(const Context& context, const image::Loaded& loaded) {
  std::printf("%s\n", loaded.name.c_str());
  const auto note = [&](int count, const char* what) {
    if (count > 0) say(context, loaded.name + ": " + std::to_string(count) + what);
  };
  note(loaded.report.devices, " device files were left out; /dev of a container is its own");
  note(loaded.report.owners, " files have an owner that this user cannot give; they are root's");
  note(loaded.report.attributes, " extended attributes were not kept: no privilege, or no support");
}

Status reportOne(const Context& context, const Result<image::Loaded>& loaded) {
  if (loaded) report(context, *loaded);
  return loaded.status();
}

int list(const std::string& output) {
  auto root = lab::imageStoreRoot();
  if (!root) return fail(root.status());
  auto files = makeRealFilesystem();
  const auto images = image::Store(*files, *root).list();
  if (!images) return fail(images.status());
  if (output == "json") {
    std::string text;
    JsonWriter writer(text, 4);
    writer.beginArray();
    for (const auto& one : *images) {
      writer.beginObject();
      for (const auto& [key, value] : {std::pair<const char*, const std::string&>{"name", one.name},
                                       {"digest", one.digest},
                                       {"id", one.configId},
                                       {"created", one.config.created}}) {
        writer.key(key);
        writer.string(value);
      }
      writer.key("size");
      writer.number(one.size);
      writer.key("layers");
      writer.beginArray();
      for (const auto& layer : one.config.diffIds) writer.string(layer);
      writer.endArray();
      writer.endObject();
    }
    writer.endArray();
    std::printf("%s\n", text.c_str());
    return kDone;
  }
  Table table({"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"});
  asio::io_context io;
  const WallTime now = makeRealClock(io.get_executor())->wallNow();
  for (const auto& one : *images) {
    const auto reference = image::parseReference(one.name);
    const auto created = parseTime(one.config.created);
    table.add({reference ? reference->repository() : "<none>",
               reference && !reference->tag.empty() ? reference->tag : "<none>",
               one.configId.substr(7, 12),
               created ? api::formatAge(now - *created) + " ago" : "<unknown>",
               sizeText(one.size)});
  }
  if (table.empty()) {
    std::fputs("No images. Get one with podlab image load, pull, import or build-rootfs\n", stderr);
  } else {
    std::fputs(table.text().c_str(), stdout);
  }
  return kDone;
}

Status removeAll(image::StoreChange& change, const std::vector<std::string>& references) {
  // All or none of a mistyped list.
  std::vector<image::Reference> parsed;
  for (const auto& text : references) {
    auto reference = image::parseReference(text);
    if (!reference) return reference.status().withContext("image \"" + text + "\"");
    if (auto found = change.store().find(*reference); !found) return found.status();
    parsed.push_back(*reference);
  }
  for (const auto& reference : parsed) {
    const auto removed = change.remove(reference);
    if (!removed) return removed.status();
    std::printf("%s\n", reference.toString().c_str());
  }
  return {};
}

Status prune(const Context& context, image::StoreChange& change, bool all) {
  std::uint64_t freed = change.freedAtBegin();
  if (all) {
    const auto images = change.store().list();
    if (!images) return images.status();
    for (const auto& one : *images) {
      const auto reference = image::parseReference(one.name);
      if (!reference) continue;
      const auto removed = change.remove(*reference);
      if (removed.status().is(Code::kConflict)) {
        say(context, one.name + " stays: a running container uses it");
      } else if (!removed) {
        return removed.status();
      } else {
        std::printf("%s\n", one.name.c_str());
        freed += *removed;
      }
    }
  }
  say(context, "Freed " + sizeText(freed) + ".");
  return {};
}

void addConfigFlags(CLI::App& command, ImageOptions& options) {
  command.add_option("--entrypoint", options.entrypoint,
                     "Entrypoint: words, or a JSON array of strings");
  command.add_option("--cmd", options.command, "Command: words, or a JSON array of strings");
  command.add_option("-e,--env", options.config.env, "NAME=VALUE, repeatable")
      ->allow_extra_args(false);
  command.add_option("--user", options.config.user, "User (and group) of the program");
  command.add_option("--workdir", options.config.workingDir, "Working directory");
  command.add_option("--expose", options.config.exposedPorts, "PORT[/tcp|udp|sctp], repeatable")
      ->allow_extra_args(false);
  command.add_option("--stop-signal", options.config.stopSignal, "Signal that ends it");
}

Status readCommands(ImageOptions& options) {
  for (auto& [text, words] : {std::pair<std::string&, std::vector<std::string>&>{
                                  options.entrypoint, options.config.entrypoint},
                              {options.command, options.config.command}}) {
    auto split = image::commandWords(text);
    if (!split) return split.status();
    words = *split;
  }
  return {};
}

}  // namespace

void addImageCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<ImageOptions>();
  auto* group = app.add_subcommand("image", "The images of this host, for all labs");
  group->require_subcommand(1);

  auto* load = group->add_subcommand(
      "load", "Load an archive of docker save or podman save, or an OCI layout");
  load->add_option("SOURCE", options->load.source,
                   "FILE.tar, FOLDER, oci:FOLDER[:NAME], oci-archive:FILE[:NAME] or "
                   "docker-archive:FILE[:NAME]")
      ->required();
  load->add_option("-t,--tag", options->load.name, "Name for the image (default: its own)");
  load->callback([&context, options] {
    context.exitCode = changeStore(context, [&](image::StoreChange& change) {
      auto loaded = image::load(change, options->load);
      if (!loaded) return loaded.status();
      for (const auto& one : *loaded) report(context, one);
      return Status();
    });
  });

  auto* pull = group->add_subcommand("pull", "Copy an image from its registry, by skopeo");
  pull->add_option("REFERENCE", options->pull.reference, "NAME[:TAG] or NAME@DIGEST")->required();
  pull->add_flag("--tls-verify,!--no-tls-verify", options->pull.tlsVerify,
                 "false: also a registry with plain HTTP or an unknown certificate");
  pull->add_option("--authfile", options->pull.authFile, "Credentials as skopeo login writes them");
  pull->callback([&context, options] {
    options->pull.progress = !context.quiet;
    context.exitCode = changeStore(context, [&](image::StoreChange& change) {
      return reportOne(context, image::pull(change, options->pull));
    });
  });

  auto* import = group->add_subcommand("import", "Make an image from a root file system");
  import->add_option("FOLDER", options->folder, "The root file system")->required();
  import->add_option("NAME", options->name, "The image's name")->required();
  addConfigFlags(*import, *options);
  import->callback([&context, options] {
    if (Status read = readCommands(*options); !read) {
      context.exitCode = failUsage(read.message());
      return;
    }
    context.exitCode = changeStore(context, [&](image::StoreChange& change) {
      return reportOne(
          context, image::importRootfs(change, options->folder, options->name, options->config));
    });
  });

  auto* build = group->add_subcommand(
      "build-rootfs", "Make an image from this host's packages and files, without a network");
  build->add_option("NAME", options->name, "The image's name")->required();
  build
      ->add_option("-p,--package", options->rootfs.packages,
                   "Debian package, installed or not, or a .deb file, repeatable")
      ->allow_extra_args(false);
  build
      ->add_option("-f,--file", options->rootfs.files,
                   "PATH[:DESTINATION] of a program, file or folder, repeatable")
      ->allow_extra_args(false);
  build->add_flag("--no-dependencies", options->noDependencies,
                  "Only the packages named, with the libraries that their programs need");
  addConfigFlags(*build, *options);
  build->callback([&context, options] {
    options->rootfs.dependencies = !options->noDependencies;
    if (Status read = readCommands(*options); !read) {
      context.exitCode = failUsage(read.message());
      return;
    }
    context.exitCode = changeStore(context, [&](image::StoreChange& change) {
      return reportOne(context,
                       image::buildImage(change, options->rootfs, options->name, options->config));
    });
  });

  auto* ls = group->add_subcommand("ls", "List the images");
  ls->add_option("-o,--output", options->output, "json")->check(CLI::IsMember({"json"}));
  ls->callback([&context, options] { context.exitCode = list(options->output); });

  auto* rm = group->add_subcommand("rm", "Remove images that no running container uses");
  rm->add_option("REFERENCE", options->references, "Names")->required();
  rm->callback([&context, options] {
    context.exitCode = changeStore(context, [&](image::StoreChange& change) {
      return removeAll(change, options->references);
    });
  });

  auto* pruning = group->add_subcommand(
      "prune",
      "Remove what no image needs: left-overs of interrupted commands and replaced images");
  pruning->add_flag("-a,--all", options->all, "All images that no running container uses, too");
  pruning->callback([&context, options] {
    context.exitCode = changeStore(
        context, [&](image::StoreChange& change) { return prune(context, change, options->all); });
  });
}

}  // namespace podlab::cli
