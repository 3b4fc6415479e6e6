#pragma once
#include <memory>
#include <utility>

#include "common/sync.hpp"
#include "node/agent.hpp"

namespace podlab::sim {

/// Lets an agent die, as by SIGKILL, at a chosen one of its calls to the world: from then on none
/// of its calls has any effect, and none returns.
class CrashPoint {
 public:
  /// Dies at the call number `at` (from 0), before or after its effect; a negative number: never.
  CrashPoint(int at, bool afterEffect) : at_(at), afterEffect_(afterEffect) {}

  bool dead() const { return dead_; }
  int calls() const { return calls_; }
  void kill() { dead_ = true; }

  /// Before each effect; whether this is the call after which the agent dies.
  Co<bool> before() {
    bool here = !dead_ && calls_++ == at_;
    if (here && !afterEffect_) dead_ = true;
    if (dead_) co_await never_.wait();
    co_return here;
  }
  /// After it.
  Co<void> after(bool here) {
    if (here) dead_ = true;
    if (dead_) co_await never_.wait();
  }
  /// For calls that cannot wait: whether the effect happens.
  bool allow() {
    bool here = !dead_ && calls_++ == at_;
    bool happens = !dead_ && (!here || afterEffect_);
    if (here) dead_ = true;
    return happens;
  }

 private:
  int at_;
  bool afterEffect_;
  int calls_ = 0;
  bool dead_ = false;
  WaitQueue never_;
};

/// The world behind a crash point.
class CrashingRuntime final : public node::ContainerRuntime {
 public:
  CrashingRuntime(node::ContainerRuntime& inner, CrashPoint& point)
      : inner_(inner), point_(point) {}
  Co<Status> start(node::ContainerSpec spec) override {
    bool last = co_await point_.before();
    Status status = co_await inner_.start(std::move(spec));
    co_await point_.after(last);
    co_return status;
  }
  Co<Status> kill(std::string id, int signal) override {
    bool last = co_await point_.before();
    Status status = co_await inner_.kill(std::move(id), signal);
    co_await point_.after(last);
    co_return status;
  }
  Co<Status> remove(std::string id) override {
    bool last = co_await point_.before();
    Status status = co_await inner_.remove(std::move(id));
    co_await point_.after(last);
    co_return status;
  }
  Co<Result<std::vector<node::ContainerStatus>>> list() override {
    co_await point_.before();
    co_return co_await inner_.list();
  }
  Co<Result<node::ContainerStatus>> status(std::string id) override {
    co_await point_.before();
    co_return co_await inner_.status(std::move(id));
  }
  void onChange(std::function<void(std::string id)> listener) override {
    // A dead process hears nothing.
    inner_.onChange(point_.dead() ? nullptr : std::move(listener));
  }
  Co<Result<std::unique_ptr<node::ExecSession>>> exec(std::string id,
                                                      node::ExecSpec spec) override {
    co_await point_.before();
    co_return co_await inner_.exec(std::move(id), std::move(spec));
  }
  Result<std::unique_ptr<node::ContainerInput>> openInput(const std::string& id) override {
    return inner_.openInput(id);
  }
  Co<Result<std::string>> createPidNamespace(std::string podUid) override {
    co_await point_.before();
    co_return co_await inner_.createPidNamespace(std::move(podUid));
  }
  Co<Status> removePidNamespace(std::string podUid) override {
    co_await point_.before();
    co_return co_await inner_.removePidNamespace(std::move(podUid));
  }
  Co<Result<std::string>> version() override { co_return co_await inner_.version(); }

 private:
  node::ContainerRuntime& inner_;
  CrashPoint& point_;
};

class CrashingDataplane final : public node::Dataplane {
 public:
  CrashingDataplane(node::Dataplane& inner, CrashPoint& point) : inner_(inner), point_(point) {}
  Co<Result<node::NodeNetworkInfo>> discover() override { co_return co_await inner_.discover(); }
  Co<Status> configureNode(node::NodeNetwork network) override {
    bool last = co_await point_.before();
    Status status = co_await inner_.configureNode(std::move(network));
    co_await point_.after(last);
    co_return status;
  }
  Co<Status> setPeers(std::vector<node::Peer> peers) override {
    co_await point_.before();
    co_return co_await inner_.setPeers(std::move(peers));
  }
  Co<Result<std::vector<node::PeerFinding>>> probePeers(std::vector<node::Peer> peers,
                                                        std::uint16_t session) override {
    co_return co_await inner_.probePeers(std::move(peers), session);
  }
  Co<Status> setFirewall(std::optional<net::NftTable> table) override {
    co_await point_.before();
    co_return co_await inner_.setFirewall(std::move(table));
  }
  Co<Result<node::SandboxNamespaces>> createSandbox(node::SandboxSpec spec) override {
    bool last = co_await point_.before();
    auto result = co_await inner_.createSandbox(std::move(spec));
    co_await point_.after(last);
    co_return result;
  }
  Co<Status> removeSandbox(std::string podUid) override {
    bool last = co_await point_.before();
    Status status = co_await inner_.removeSandbox(std::move(podUid));
    co_await point_.after(last);
    co_return status;
  }
  Co<Result<std::vector<std::string>>> listSandboxes() override {
    co_await point_.before();
    co_return co_await inner_.listSandboxes();
  }

 private:
  node::Dataplane& inner_;
  CrashPoint& point_;
};

class CrashingFilesystem final : public Filesystem {
 public:
  CrashingFilesystem(Filesystem& inner, CrashPoint& point) : inner_(inner), point_(point) {}
  Result<std::string> readFile(const std::string& path) override { return inner_.readFile(path); }
  Result<std::string> readTail(const std::string& path, std::size_t most) override {
    return inner_.readTail(path, most);
  }
  Status writeFileAtomic(const std::string& path, std::string_view content, std::uint32_t mode,
                         bool durable) override {
    return point_.allow() ? inner_.writeFileAtomic(path, content, mode, durable) : dead();
  }
  Status createDirectories(const std::string& path, std::uint32_t mode) override {
    return point_.allow() ? inner_.createDirectories(path, mode) : dead();
  }
  Status removeTree(const std::string& path) override {
    return point_.allow() ? inner_.removeTree(path) : dead();
  }
  Status removeFile(const std::string& path) override {
    return point_.allow() ? inner_.removeFile(path) : dead();
  }
  Status rename(const std::string& from, const std::string& to) override {
    return point_.allow() ? inner_.rename(from, to) : dead();
  }
  bool exists(const std::string& path) override { return inner_.exists(path); }
  Status createSymlink(const std::string& target, const std::string& path) override {
    return point_.allow() ? inner_.createSymlink(target, path) : dead();
  }
  Result<std::string> readLink(const std::string& path) override { return inner_.readLink(path); }
  Result<std::vector<std::string>> listDirectory(const std::string& path) override {
    return inner_.listDirectory(path);
  }

 private:
  static Status dead() { return {Code::kInternal, "the agent is dead"}; }
  Filesystem& inner_;
  CrashPoint& point_;
};

class CrashingVolumes final : public node::PodVolumes {
 public:
  CrashingVolumes(node::PodVolumes& inner, CrashPoint& point) : inner_(inner), point_(point) {}
  Co<Result<Folders>> setUp(std::string podUid, std::vector<node::VolumeSpec> volumes,
                            node::EtcFiles etc) override {
    bool last = co_await point_.before();
    auto result = co_await inner_.setUp(std::move(podUid), std::move(volumes), std::move(etc));
    co_await point_.after(last);
    co_return result;
  }
  Co<Result<std::string>> openSubPath(node::SubPath part) override {
    bool last = co_await point_.before();
    auto result = co_await inner_.openSubPath(std::move(part));
    co_await point_.after(last);
    co_return result;
  }
  Co<Result<std::vector<std::int64_t>>> usage(std::vector<std::string> folders) override {
    co_await point_.before();
    co_return co_await inner_.usage(std::move(folders));
  }
  Co<Status> removeFolder(std::string path) override {
    bool last = co_await point_.before();
    Status status = co_await inner_.removeFolder(std::move(path));
    co_await point_.after(last);
    co_return status;
  }
  Co<Status> tearDown(std::string podUid) override {
    bool last = co_await point_.before();
    Status status = co_await inner_.tearDown(std::move(podUid));
    co_await point_.after(last);
    co_return status;
  }

 private:
  node::PodVolumes& inner_;
  CrashPoint& point_;
};

class CrashingApi final : public api::Api {
 public:
  CrashingApi(api::Api& inner, CrashPoint& point) : inner_(inner), point_(point) {}
  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override {
    co_await point_.before();
    co_return co_await inner_.get(std::move(id));
  }
  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options) override {
    co_await point_.before();
    co_return co_await inner_.list(std::move(collection), std::move(options));
  }
  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId collection,
                                                api::WatchOptions options) override {
    co_await point_.before();
    co_return co_await inner_.watch(std::move(collection), std::move(options));
  }
  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    bool last = co_await point_.before();
    auto result = co_await inner_.create(std::move(id), std::move(object), std::move(options));
    co_await point_.after(last);
    co_return result;
  }
  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    bool last = co_await point_.before();
    auto result = co_await inner_.update(std::move(id), std::move(object), std::move(options));
    co_await point_.after(last);
    co_return result;
  }
  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options) override {
    co_await point_.before();
    co_return co_await inner_.patch(std::move(id), type, std::move(body), std::move(options));
  }
  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
    bool last = co_await point_.before();
    auto result = co_await inner_.remove(std::move(id), std::move(options));
    co_await point_.after(last);
    co_return result;
  }

 private:
  api::Api& inner_;
  CrashPoint& point_;
};

/// The whole world of one agent, which dies at a crash point. It must be stopped and destroyed
/// before the world itself.
struct CrashingWorld {
  CrashingWorld(node::AgentDependencies real, int at, bool afterEffect)
      : point(at, afterEffect),
        api(real.api, point),
        runtime(real.runtime, point),
        dataplane(real.dataplane, point),
        volumes(real.volumes, point),
        files(real.files, point),
        inner(real) {}

  node::AgentDependencies dependencies() {
    return {.executor = inner.executor,
            .clock = inner.clock,
            .rng = inner.rng,
            .api = api,
            .dataplane = dataplane,
            .runtime = runtime,
            .images = inner.images,
            .volumes = volumes,
            .dialer = inner.dialer,
            .files = files,
            .blocking = inner.blocking};
  }

  CrashPoint point;
  CrashingApi api;
  CrashingRuntime runtime;
  CrashingDataplane dataplane;
  CrashingVolumes volumes;
  CrashingFilesystem files;
  node::AgentDependencies inner;
};

}  // namespace podlab::sim
