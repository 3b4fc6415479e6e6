#include "node/seccomp_profile.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <sstream>

#include <nlohmann/json.hpp>

namespace podlab::node {
namespace {

using Json = nlohmann::ordered_json;

// What Docker documents as allowed to every container:
// https://docs.docker.com/engine/security/seccomp/. Names that this machine's libseccomp does not
// know are ignored.

constexpr const char* kFiles =
    "_llseek access cachestat chdir chmod chown chown32 close close_range copy_file_range creat "
    "dup "
    "dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod "
    "fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
    "flock "
    "fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 "
    "futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init "
    "inotify_init1 "
    "inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listmount listxattr listxattrat "
    "llistxattr "
    "lremovexattr "
    "lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open "
    "openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead "
    "readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile "
    "sendfile64 "
    "setxattr setxattrat splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync "
    "sync_file_range "
    "syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes "
    "vmsplice write writev";

constexpr const char* kProcesses =
    "capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu "
    "getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp "
    "getpid getppid getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage "
    "getsid gettid getuid getuid32 ioprio_get ioprio_set kill landlock_add_rule "
    "landlock_create_ruleset landlock_restrict_self pause pidfd_open pidfd_send_signal prctl "
    "prlimit64 process_mrelease restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask "
    "rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 "
    "rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity "
    "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler "
    "sched_yield seccomp set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 "
    "setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid "
    "setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid "
    "setuid setuid32 sigaltstack sigprocmask sigreturn sysinfo tgkill tkill ugetrlimit uname "
    "uretprobe vfork wait4 waitid waitpid";

constexpr const char* kMemory =
    "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 "
    "mlockall "
    "mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free "
    "pkey_mprotect "
    "remap_file_pages";

constexpr const char* kCommunication =
    "accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait "
    "epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 futex futex_requeue futex_time64 "
    "futex_wait futex_waitv futex_wake getpeername getsockname getsockopt io_cancel io_destroy "
    "io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ipc listen mq_getsetattr "
    "mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 "
    "mq_unlink msgctl msgget msgrcv msgsnd _newselect poll ppoll ppoll_time64 pselect6 "
    "pselect6_time64 recv recvfrom recvmmsg recvmmsg_time64 recvmsg select semctl semget semop "
    "semtimedop semtimedop_time64 send sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt "
    "shmget "
    "shutdown signalfd signalfd4 socketcall socketpair";

constexpr const char* kTime =
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday "
    "nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime "
    "timerfd_gettime64 "
    "timerfd_settime timerfd_settime64 times";

/// Since Linux 4.8 ptrace(2) is no way around a filter.
constexpr const char* kTracing = "process_vm_readv process_vm_writev ptrace";

#if defined(__aarch64__)
constexpr const char* kArchitecture =
    "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2";
constexpr const char* kArchitectures = "SCMP_ARCH_AARCH64 SCMP_ARCH_ARM";
#else
constexpr const char* kArchitecture = "arch_prctl modify_ldt";
constexpr const char* kArchitectures = "SCMP_ARCH_X86_64 SCMP_ARCH_X86 SCMP_ARCH_X32";
#endif

struct ByCapability {
  const char* capability;
  const char* calls;
};
constexpr ByCapability kByCapability[] = {
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
     "lsm_get_self_attr "
     "lsm_list_modules lsm_set_self_attr mount "
     "mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname "
     "sethostname setns syslog umount umount2 unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "ioperm iopl"},
    {"CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
};

/// All flags of clone(2) that make a namespace.
constexpr std::uint64_t kNamespaceFlags = 0x7E020000;
/// personality(2): Linux, Linux on 32 bits, both with UNAME26, and the query.
constexpr std::uint64_t kPersonalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
/// Families of socket(2) that are not: DECnet, Econet, ATM SVC, IrDA, WANPIPE, ISDN, CAIF, the
/// kernel's cryptography and VSOCK. What comes after the last known is not either.
constexpr int kClosedFamilies[] = {12, 19, 20, 23, 25, 34, 37, 38, 40};
constexpr int kLastFamily = 45;

Json words(const std::string& text) {
  Json list = Json::array();
  std::istringstream in(text);
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

Json allow(Json names) {
  return {{"names", std::move(names)}, {"action", "SCMP_ACT_ALLOW"}};
}

Json allowIf(const char* name, const char* op, std::uint64_t value, std::uint64_t second = 0) {
  Json rule = allow({name});
  const Json condition = {{"index", 0}, {"value", value}, {"valueTwo", second}, {"op", op}};
  rule["args"] = Json::array({condition});
  return rule;
}

}  // namespace

std::string defaultSeccomp(const std::set<std::string>& capabilities) {
  Json rules = Json::array();
  for (const char* group :
       {kFiles, kProcesses, kMemory, kCommunication, kTime, kTracing, kArchitecture}) {
    rules.push_back(allow(words(group)));
  }
  for (const auto value : kPersonalities)
    rules.push_back(allowIf("personality", "SCMP_CMP_EQ", value));
  for (int family = 0; family <= kLastFamily; ++family) {
    if (std::ranges::find(kClosedFamilies, family) == std::end(kClosedFamilies))
      rules.push_back(allowIf("socket", "SCMP_CMP_EQ", family));
  }
  for (const auto& [capability, calls] : kByCapability) {
    if (capabilities.contains(capability)) rules.push_back(allow(words(calls)));
  }
  if (!capabilities.contains("CAP_SYS_ADMIN")) {
    rules.push_back(allowIf("clone", "SCMP_CMP_MASKED_EQ", kNamespaceFlags, 0));
    // A filter cannot see clone3's flags; C libraries fall back to clone.
    Json absent = {{"names", {"clone3"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", ENOSYS}};
    rules.push_back(std::move(absent));
  }
  const Json profile = {{"defaultAction", "SCMP_ACT_ERRNO"},
                        {"defaultErrnoRet", EPERM},
                        {"architectures", words(kArchitectures)},
                        {"syscalls", std::move(rules)}};
  return profile.dump();
}

}  // namespace podlab::node
