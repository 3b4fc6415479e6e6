#include "node/security.hpp"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <nlohmann/json.hpp>

#include "node/seccomp_filter.hpp"
#include "node/seccomp_profile.hpp"

namespace podlab::node {
namespace {

const UserFiles kFiles{
    "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n7:x:70:71::/:/bin/"
    "sh\nbroken\n",
    "root:x:0:\napp:x:1001:\nvideo:x:44:other,app\naudio:x:29:application\n"};

std::string userText(const std::string& user) {
  auto ids = lookUpUser(user, kFiles);
  if (!ids.ok()) return ids.status().message();
  std::string text = std::to_string(ids->uid) + ":" + std::to_string(ids->gid);
  for (const auto gid : ids->groups) text += "," + std::to_string(gid);
  return text;
}

TEST(Security, UsersAreLookedUpInTheImage) {
  EXPECT_EQ(userText(""), "0:0");
  EXPECT_EQ(userText("app"), "1000:1001,44");
  EXPECT_EQ(userText("1000"), "1000:1001,44");
  EXPECT_EQ(userText("1000:5"), "1000:5");
  EXPECT_EQ(userText("app:video"), "1000:44");
  EXPECT_EQ(userText("4711"), "4711:0");
  EXPECT_EQ(userText("7"), "70:71");
  EXPECT_EQ(lookUpUser("1000:5", kFiles)->home, "/home/app");
  EXPECT_EQ(lookUpUser("4711", kFiles)->home, "/");
  EXPECT_EQ(lookUpUser("", UserFiles{})->home, "/root");
  EXPECT_EQ(userText("nobody"), "unable to find user nobody: no matching entries in passwd file");
  EXPECT_EQ(userText("app:none"), "unable to find group none: no matching entries in group file");
  EXPECT_EQ(userText("4294967295"),
            "unable to find user 4294967295: no matching entries in passwd file");
}

struct Case {
  corev1::Pod pod;
  corev1::Container container;
  Case() {
    pod.mutable_metadata()->set_name("web");
    pod.mutable_metadata()->set_namespace_("default");
    pod.mutable_metadata()->set_uid("u1");
    container.set_name("c");
  }
  corev1::PodSecurityContext& pods() { return *pod.mutable_spec()->mutable_securitycontext(); }
  corev1::SecurityContext& own() { return *container.mutable_securitycontext(); }
  Result<ContainerSecurity> resolve(const std::string& imageUser = "") {
    return resolveSecurity(pod, container, imageUser, kFiles);
  }
  std::string fault(const std::string& imageUser = "") {
    auto made = resolve(imageUser);
    return made.ok() ? "" : made.status().message();
  }
};

TEST(Security, NonRootIsCheckedInKubeletsWords) {
  const std::string where = " (pod: \"web_default(u1)\", container: c)";
  Case one;
  one.pods().set_runasnonroot(true);
  EXPECT_EQ(one.fault(), "container has runAsNonRoot and image will run as root" + where);
  EXPECT_EQ(one.fault("0:5"), "container has runAsNonRoot and image will run as root" + where);
  EXPECT_EQ(
      one.fault("app"),
      "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is "
      "non-root" +
          where);
  EXPECT_EQ(one.fault("1000"), "");
  one.pods().set_runasuser(0);
  EXPECT_EQ(one.fault("1000"), "container's runAsUser breaks non-root policy" + where);
  one.own().set_runasuser(5);
  EXPECT_EQ(one.fault("1000"), "");
  one.own().set_runasnonroot(false);
  one.own().set_runasuser(0);
  EXPECT_EQ(one.fault("1000"), "");
}

TEST(Security, TheContainersContextGoesFirst) {
  Case one;
  one.pods().set_runasuser(1000);
  one.pods().set_runasgroup(3000);
  one.pods().set_fsgroup(2000);
  one.pods().add_supplementalgroups(4000);
  auto made = one.resolve();
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->user, (UserIds{1000, 3000, {44, 4000, 2000}, "/home/app"}));
  one.pods().set_supplementalgroupspolicy("Strict");
  one.own().set_runasuser(0);
  made = one.resolve("app");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->user, (UserIds{0, 3000, {4000, 2000}, "/root"}));
}

TEST(Security, Capabilities) {
  const auto of = [](std::vector<std::string> add, std::vector<std::string> drop) {
    Case one;
    for (const auto& name : add) one.own().mutable_capabilities()->add_add(name);
    for (const auto& name : drop) one.own().mutable_capabilities()->add_drop(name);
    return capabilitiesOf(*one.resolve(), false);
  };
  EXPECT_EQ(of({}, {}), defaultCapabilities(false));
  EXPECT_EQ(of({}, {"ALL"}), std::set<std::string>());
  EXPECT_EQ(of({"NET_BIND_SERVICE"}, {"all"}), std::set<std::string>{"CAP_NET_BIND_SERVICE"});
  EXPECT_TRUE(of({"CAP_NET_ADMIN"}, {}).contains("CAP_NET_ADMIN"));
  EXPECT_FALSE(of({}, {"net_raw"}).contains("CAP_NET_RAW"));
  EXPECT_TRUE(defaultCapabilities(true).contains("CAP_MKNOD"));
  Case unknown;
  unknown.own().mutable_capabilities()->add_add("FLY");
  EXPECT_EQ(unknown.fault(), "unknown capability \"CAP_FLY\" to add");
}

TEST(Security, OnlySafeSysctls) {
  Case one;
  const auto add = [&](const char* name) { one.pods().add_sysctls()->set_name(name); };
  add("net.ipv4.ip_local_port_range");
  add("net/ipv4/tcp_syncookies");
  EXPECT_EQ(forbiddenSysctl(one.pod), "");
  one.pod.mutable_spec()->set_hostnetwork(true);
  EXPECT_EQ(forbiddenSysctl(one.pod),
            "forbidden sysctl: \"net.ipv4.ip_local_port_range\" not allowed with host net enabled");
  one.pod.mutable_spec()->set_hostnetwork(false);
  add("kernel.msgmax");
  EXPECT_EQ(forbiddenSysctl(one.pod), "forbidden sysctl: \"kernel.msgmax\" not allowlisted");
}

std::set<std::string> allowed(const std::set<std::string>& capabilities) {
  std::set<std::string> names;
  const auto profile = nlohmann::json::parse(defaultSeccomp(capabilities));
  for (const auto& rule : profile["syscalls"]) {
    if (rule["action"] != "SCMP_ACT_ALLOW" || rule.contains("args")) continue;
    for (const auto& name : rule["names"]) names.insert(name);
  }
  return names;
}

TEST(Security, TheFilterFollowsTheCapabilities) {
  const auto plain = allowed(defaultCapabilities(false));
  for (const char* name : {"read", "execve", "chroot", "ptrace", "mmap", "epoll_pwait2"})
    EXPECT_TRUE(plain.contains(name)) << name;
  for (const char* name :
       {"mount", "bpf", "clone3", "clone", "unshare", "keyctl", "add_key", "reboot",
        "io_uring_setup", "userfaultfd", "kexec_load", "init_module", "socket"})
    EXPECT_FALSE(plain.contains(name)) << name;
  auto admin = allowed({"CAP_SYS_ADMIN"});
  EXPECT_TRUE(admin.contains("mount") && admin.contains("clone3") && !admin.contains("chroot"));
}

TEST(Security, TheFilterIsAProgram) {
  auto program = compileSeccomp(defaultSeccomp(defaultCapabilities(false)));
  ASSERT_TRUE(program.ok()) << program.status().toString();
  // Whole instructions, and no more than the kernel takes (BPF_MAXINSNS).
  EXPECT_EQ(program->size() % 8, 0U);
  EXPECT_LE(program->size() / 8, 4096U);
}

/// errno of the call in a process under the filter; 0 when it succeeds.
int outcomeUnder(const std::string& program, long call, long argument) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<sock_filter> filter(program.size() / sizeof(sock_filter));
    std::memcpy(filter.data(), program.data(), program.size());
    const sock_fprog installed{.len = static_cast<unsigned short>(filter.size()),
                               .filter = filter.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &installed) < 0)
      ::_exit(255);
    ::_exit(::syscall(call, argument, SOCK_DGRAM, 0) < 0 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Security, TheFilterRefusesAsDockers) {
  const auto program = compileSeccomp(defaultSeccomp(defaultCapabilities(false)));
  ASSERT_TRUE(program.ok()) << program.status().toString();
  EXPECT_EQ(outcomeUnder(*program, SYS_getpid, 0), 0);
  EXPECT_EQ(outcomeUnder(*program, SYS_keyctl, 0), EPERM);
  EXPECT_EQ(outcomeUnder(*program, SYS_clone3, 0), ENOSYS);
  // Newer than the profile: a C library takes the older call.
  EXPECT_EQ(outcomeUnder(*program, 100'000, 0), ENOSYS);
  EXPECT_EQ(outcomeUnder(*program, SYS_socket, AF_UNIX), 0);
  EXPECT_EQ(outcomeUnder(*program, SYS_socket, AF_VSOCK), EPERM);
  EXPECT_EQ(outcomeUnder(*program, SYS_socket, AF_ALG), EPERM);
}

TEST(Security, IdMaps) {
  EXPECT_TRUE(IdMap::parse("         0          0 4294967295\n").isInitial());
  const auto one = IdMap::parse("0 1000 1\n");
  EXPECT_TRUE(one.has(0) && !one.has(1) && !one.isInitial());
  const auto many = IdMap::parse("0 1000 1\n1 100000 65535\n");
  EXPECT_TRUE(many.has(65535) && !many.has(65536));
}

}  // namespace
}  // namespace podlab::node
