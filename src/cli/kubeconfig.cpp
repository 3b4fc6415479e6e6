#include "cli/kubeconfig.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <nlohmann/json.hpp>

#include "api/codec_base64.hpp"
#include "common/filesystem.hpp"
#include "common/unique_fd.hpp"
#include "common/yaml.hpp"

namespace podlab::cli {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> parse(std::string_view yaml) {
  auto documents = yamlToJson(yaml);
  if (!documents) return documents.status();
  if (documents->empty()) return Json::object();
  auto config = Json::parse(documents->front().json, nullptr, false);
  if (documents->size() > 1 || !config.is_object())
    return Status(Code::kBadRequest, "it is no kubeconfig: one map with clusters, contexts, users");
  for (const char* list : {"clusters", "contexts", "users"}) {
    if (config.contains(list) && !config[list].is_array() && !config[list].is_null())
      return Status(Code::kBadRequest, std::string("it is no kubeconfig: ") + list + " is no list");
  }
  return config;
}

/// Whether it was there.
bool removeNamed(Json& config, const char* list, const std::string& name) {
  if (!config.contains(list) || !config[list].is_array()) return false;
  Json kept = Json::array();
  for (const auto& item : config[list]) {
    if (!item.is_object() || item.value("name", Json()) != name) kept.push_back(item);
  }
  const bool removed = kept.size() != config[list].size();
  config[list] = std::move(kept);
  return removed;
}

void setNamed(Json& config, const char* list, const std::string& name, const char* key,
              Json value) {
  removeNamed(config, list, name);
  config[list].push_back(Json{{"name", name}, {key, std::move(value)}});
}

std::string base64(const std::string& text) {
  return api::codec::base64Encode(text);
}

/// Where the bytes are, when the path is a symbolic link.
std::string realPath(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string found(real);
  std::free(real);
  return found;
}

/// Holds PATH.lock while it lives.
class FileLock {
 public:
  static Result<FileLock> take(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (file) return FileLock(path);
    if (errno != EEXIST) return errnoStatus(errno, "cannot make " + path);
    return Status(Code::kConflict,
                  path +
                      " exists: another program changes the file, or was killed while it did; "
                      "then remove it");
  }
  ~FileLock() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  FileLock(FileLock&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace

std::string kubeconfigName(const std::string& lab) {
  return "podlab-" + lab;
}

Result<KubeconfigEntry> kubeconfigEntry(const std::string& lab, const lab::LabPaths& paths) {
  auto files = makeRealFilesystem();
  auto address = files->readFile(paths.apiAddress());
  auto ca = files->readFile(paths.pki("ca.crt"));
  auto certificate = files->readFile(paths.pki("admin.crt"));
  auto key = files->readFile(paths.pki("admin.key"));
  for (const auto* part : {&address, &ca, &certificate, &key}) {
    if (!*part) return part->status();
  }
  return KubeconfigEntry{kubeconfigName(lab), "https://" + *address, *ca, *certificate, *key};
}

Result<std::string> addToKubeconfig(std::string_view yaml, const KubeconfigEntry& entry) {
  auto config = parse(yaml);
  if (!config) return config.status();
  if (config->empty()) *config = Json{{"apiVersion", "v1"}, {"kind", "Config"}};
  setNamed(*config, "clusters", entry.name, "cluster",
           {{"server", entry.server}, {"certificate-authority-data", base64(entry.caPem)}});
  setNamed(*config, "contexts", entry.name, "context",
           {{"cluster", entry.name}, {"user", entry.name}});
  (*config)["current-context"] = entry.name;
  setNamed(*config, "users", entry.name, "user",
           {{"client-certificate-data", base64(entry.certificatePem)},
            {"client-key-data", base64(entry.keyPem)}});
  return jsonToYaml(config->dump());
}

Result<std::string> removeFromKubeconfig(std::string_view yaml, const std::string& name) {
  auto config = parse(yaml);
  if (!config) return config.status();
  bool removed = false;
  for (const char* list : {"clusters", "contexts", "users"})
    removed |= removeNamed(*config, list, name);
  if (config->value("current-context", Json()) == name) {
    (*config)["current-context"] = "";
    removed = true;
  }
  if (!removed) return std::string(yaml);
  return jsonToYaml(config->dump());
}

Result<std::string> clusterInfo(const std::string& server, const std::string& caPem) {
  Json config{{"apiVersion", "v1"}, {"kind", "Config"}};
  setNamed(config, "clusters", "", "cluster",
           {{"certificate-authority-data", base64(caPem)}, {"server", server}});
  return jsonToYaml(config.dump());
}

Result<ClusterAddress> readClusterInfo(std::string_view yaml) {
  auto config = parse(yaml);
  if (!config) return config.status();
  const auto cluster = config->value(Json::json_pointer("/clusters/0/cluster"), Json());
  const auto field = [&](const char* key) {
    return cluster.is_object() && cluster.contains(key) && cluster[key].is_string()
               ? cluster[key].get<std::string>()
               : std::string();
  };
  const auto ca = api::codec::base64Decode(field("certificate-authority-data"));
  if (field("server").empty() || !ca)
    return Status(Code::kBadRequest, "it names no cluster with a server and its CA");
  return ClusterAddress{field("server"), *ca};
}

Result<std::string> kubeconfigPath(const std::string& given) {
  auto files = makeRealFilesystem();
  const char* list = given.empty() ? std::getenv("KUBECONFIG") : nullptr;
  std::string last = given;
  for (std::string_view rest = list == nullptr ? "" : list; !rest.empty();) {
    const auto end = std::min(rest.find(':'), rest.size());
    if (end > 0) last = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (end > 0 && files->exists(last)) break;
  }
  if (last.empty()) {
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0')
      return Status(Code::kNotFound, "neither $KUBECONFIG nor $HOME is set");
    last = std::string(home) + "/.kube/config";
  }
  if (last.front() == '/') return last;
  char folder[PATH_MAX];
  if (::getcwd(folder, sizeof folder) == nullptr) return errnoStatus(errno, "getcwd");
  return std::string(folder) + "/" + last;
}

Status changeKubeconfig(const std::string& path,
                        const std::function<Result<std::string>(std::string_view yaml)>& change) {
  auto files = makeRealFilesystem();
  const auto slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    if (Status status = files->createDirectories(path.substr(0, slash), 0755); !status.ok())
      return status;
  }
  const auto lock = FileLock::take(path + ".lock");
  if (!lock) return lock.status();
  const std::string target = realPath(path);
  auto text = files->readFile(target);
  if (!text && !text.status().is(Code::kNotFound)) return text.status();
  const std::string before = std::move(text).valueOr("");
  auto after = change(before);
  if (!after) return after.status().withContext(path);
  if (*after == before) return {};
  struct ::stat info{};
  const bool exists = ::stat(target.c_str(), &info) == 0;
  // One that nobody may write is somebody's wish, though the folder would allow to exchange it.
  if (exists && ::access(target.c_str(), W_OK) < 0)
    return errnoStatus(errno, "cannot write " + target);
  return files->writeFileAtomic(target, *after, exists ? info.st_mode & 0777 : 0600);
}

Status addLabToKubeconfig(Filesystem& files, const Context& context, const lab::LabPaths& paths,
                          const std::string& given) {
  const auto path = kubeconfigPath(given);
  if (!path) return path.status();
  const auto entry = kubeconfigEntry(context.lab, paths);
  if (!entry) return entry.status();
  const auto add = [&entry](std::string_view yaml) { return addToKubeconfig(yaml, *entry); };
  Status changed = changeKubeconfig(*path, add);
  return changed.ok() ? files.writeFileAtomic(paths.kubeconfig(), *path, 0644, false) : changed;
}

Status removeLabFromKubeconfig(Filesystem& files, const Context& context,
                               const lab::LabPaths& paths) {
  const auto path = files.readFile(paths.kubeconfig());
  if (!path || !files.exists(*path)) return {};
  const auto remove = [&](std::string_view yaml) {
    return removeFromKubeconfig(yaml, kubeconfigName(context.lab));
  };
  Status changed = changeKubeconfig(*path, remove);
  return changed.ok() ? files.removeFile(paths.kubeconfig()) : changed;
}

void warnOfKubeconfig(const Status& why) {
  std::fprintf(stderr, "warning: the kubeconfig is not changed: %s\n", why.message().c_str());
}

}  // namespace podlab::cli
