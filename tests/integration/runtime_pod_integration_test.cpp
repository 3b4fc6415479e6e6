#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

/// What the containers of a pod share, and what they do not.
class RuntimePod : public RuntimeTest {};
INSTANTIATE_RUNTIME_TEST(RuntimePod);

std::string runAndRead(RuntimeFixture& rt, const ContainerSpec& spec) {
  const Status started = rt.run(rt.runtime().start(spec));
  EXPECT_EQ(started, Status());
  if (!started) return "";
  EXPECT_EQ(rt.waitForExit(spec.id).exitCode, 0);
  return rt.output(spec.id);
}

TEST_P(RuntimePod, NamespacesAreJoined) {
  inWorld([](RuntimeFixture& rt) {
    const auto sandbox = makeSandbox(rt.folder() + "/pins", "web-0");
    const auto links = [](const char* names) {
      return std::vector<std::string>{
          "sh", "-c",
          "hostname; for n in " + std::string(names) + "; do readlink /proc/self/ns/$n; done"};
    };
    auto one = rt.spec("one", links("net ipc uts"));
    auto two = rt.spec("two", links("net ipc uts"));
    auto outside = rt.spec("outside", links("net ipc uts"));
    one.namespaces = two.namespaces = sandbox;
    const std::string seen = runAndRead(rt, one);
    EXPECT_EQ(seen.substr(0, 6), "web-0\n");
    EXPECT_EQ(seen, runAndRead(rt, two));
    EXPECT_NE(seen, runAndRead(rt, outside));
    std::vector<std::string> own;
    for (const char* id : {"a", "b"}) {
      ASSERT_EQ(rt.run(rt.runtime().start(rt.spec(id, {"sleep", "1000"}))), Status());
      own.push_back(rt.exec(id, {links("pid mnt"), false, false})->out);
    }
    EXPECT_NE(own[0], own[1]);
  });
}

TEST_P(RuntimePod, SharedMemoryAndVolumesAreShared) {
  inWorld([](RuntimeFixture& rt) {
    for (const char* name : {"shm", "volume"}) {
      ASSERT_EQ(rt.files().createDirectories(rt.folder() + "/" + name), Status());
    }
    const std::vector<Mount> mounts{{rt.folder() + "/shm", "/dev/shm", false},
                                    {rt.folder() + "/volume", "/tmp/data", false}};
    auto writer = rt.spec("writer", {"sh", "-c", "echo m > /dev/shm/x; echo v > /tmp/data/x"});
    auto reader = rt.spec("reader", {"cat", "/dev/shm/x", "/tmp/data/x"});
    writer.mounts = reader.mounts = mounts;
    EXPECT_EQ(runAndRead(rt, writer), "");
    EXPECT_EQ(runAndRead(rt, reader), "m\nv\n");
    auto readOnly = rt.spec("readOnly", {"sh", "-c", "echo no > /tmp/data/x || echo refused"});
    readOnly.mounts = {{rt.folder() + "/volume", "/tmp/data", true}};
    EXPECT_NE(runAndRead(rt, readOnly).find("refused"), std::string::npos);
    auto alone = rt.spec("alone", {"sh", "-c", "ls /dev/shm; touch /dev/shm/y && echo ok"});
    EXPECT_EQ(runAndRead(rt, alone), "ok\n");
  });
}

TEST_P(RuntimePod, APidNamespaceIsSharedAndItsRestIsKilled) {
  inWorld([](RuntimeFixture& rt) {
    auto path = rt.run(rt.runtime().createPidNamespace("uid"));
    ASSERT_TRUE(path.ok()) << path.status().toString();
    EXPECT_EQ(*rt.run(rt.runtime().createPidNamespace("uid")), *path);
    auto sleeper = rt.spec("sleeper", {"sleep", "12345"});
    auto viewer = rt.spec("viewer", {"sh", "-c", "cat /proc/1/comm; pgrep -x sleep | wc -l"});
    auto leaver = rt.spec("leaver", {"sh", "-c", "sleep 23456 & sleep 34567 & sleep 0.05"});
    for (auto* spec : {&sleeper, &viewer, &leaver}) spec->pidNamespace = *path;
    ASSERT_EQ(rt.run(rt.runtime().start(sleeper)), Status());
    EXPECT_EQ(runAndRead(rt, viewer), "podlab-pause\n1\n");
    EXPECT_EQ(runAndRead(rt, leaver), "");
    viewer.id = "viewer2";
    viewer.logPath += "2";
    EXPECT_EQ(rt.run(rt.runtime().start(viewer)), Status());
    EXPECT_EQ(rt.waitForExit("viewer2").exitCode, 0);
    // What the leaver had left is gone.
    EXPECT_NE(rt.files().readFile(viewer.logPath)->find(" F 1\n"), std::string::npos);

    EXPECT_EQ(rt.run(rt.runtime().removePidNamespace("uid")), Status());
    EXPECT_EQ(rt.waitForExit("sleeper").exitCode, 137);
    EXPECT_EQ(rt.run(rt.runtime().removePidNamespace("uid")), Status());
  });
}

TEST_P(RuntimePod, TheHostImageIsReadOnlyWithFreshScratch) {
  inWorld([](RuntimeFixture& rt) {
    auto spec =
        rt.spec("a", {"sh", "-c",
                      "for d in / /usr /etc /proc/sys; do touch $d/x 2>/dev/null && echo $d; done;"
                      "for d in /tmp /var/log /var/tmp /run/lock /root /home /dev/shm; do"
                      "  touch $d/x || echo not $d; done;"
                      "stat -c %a /tmp; test -x /usr/bin/env && test -x /bin/sh && echo programs;"
                      "ls -d /mnt/* /work 2>/dev/null; cat /dev/null; echo $HOME; pwd"});
    EXPECT_EQ(runAndRead(rt, spec), "1777\nprograms\n/root\n/\n");
    auto second = rt.spec("b", {"sh", "-c", "ls /tmp /root /home /var/tmp"});
    EXPECT_EQ(runAndRead(rt, second), "/home:\n\n/root:\n\n/tmp:\n\n/var/tmp:\n");
  });
}

TEST_P(RuntimePod, EtcFilesAreMountedOverTheImages) {
  inWorld([](RuntimeFixture& rt) {
    std::ofstream(rt.folder() + "/hosts") << "10.1.2.3 web\n";
    auto spec = rt.spec("a", {"cat", "/etc/hosts"});
    // A host may lack any of them.
    spec.mounts = {{rt.folder() + "/hosts", "/etc/hosts", false},
                   {rt.folder() + "/hosts", "/etc/hostname", false},
                   {rt.folder() + "/hosts", "/etc/resolv.conf", false}};
    EXPECT_EQ(runAndRead(rt, spec), "10.1.2.3 web\n");
  });
}

TEST_P(RuntimePod, ImagesHaveRootsOfTheirOwn) {
  inWorld([](RuntimeFixture& rt) {
    // Two small root file systems with nothing but a static-less shell: the host's folders bound
    // in.
    const auto withRoot = [&rt](const std::string& id) {
      const std::string root = rt.folder() + "/" + id;
      auto spec = rt.spec(id, {"/bin/sh", "-c", "cat /name; echo changed > /name; cat /name"});
      EXPECT_EQ(rt.files().createDirectories(root), Status());
      std::ofstream(root + "/name") << id << "\n";
      spec.image.isHost = false;
      spec.image.rootfs = root;
      for (const char* folder : {"/usr", "/bin", "/lib", "/lib64"}) {
        if (std::filesystem::exists(folder)) spec.mounts.push_back({folder, folder, true});
      }
      return spec;
    };
    EXPECT_EQ(runAndRead(rt, withRoot("first")), "first\nchanged\n");
    EXPECT_EQ(runAndRead(rt, withRoot("second")), "second\nchanged\n");
    EXPECT_EQ(*rt.files().readFile(rt.folder() + "/first/name"), "changed\n");
  });
}

TEST_P(RuntimePod, CapabilitiesAreTheDefaultOnes) {
  inWorld([](RuntimeFixture& rt) {
    auto spec =
        rt.spec("a", {"grep", "-E", "^(CapEff|CapBnd|CapAmb|NoNewPrivs)", "/proc/self/status"});
    // Docker's; without a cgroup that guards devices, without CAP_MKNOD (bit 27).
    const bool mknod = rt.cgroups().any() && rt.cgroups().cgroups.of("devices") != nullptr;
    const std::string mask = mknod ? "00000000a80425fb" : "00000000a00425fb";
    EXPECT_EQ(runAndRead(rt, spec), "CapEff:\t" + mask + "\nCapBnd:\t" + mask +
                                        "\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n");
  });
}

}  // namespace
}  // namespace podlab::node
