#include "node/seccomp_filter.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/unique_fd.hpp"

namespace podlab::node {
namespace {

using Json = nlohmann::json;

std::uint32_t actionOf(const Json& rule, const char* action, const char* error) {
  if (rule.at(action) == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  return SCMP_ACT_ERRNO(rule.value(error, EPERM));
}

std::vector<scmp_arg_cmp> conditionsOf(const Json& rule) {
  std::vector<scmp_arg_cmp> conditions;
  for (const auto& one : rule.value("args", Json::array())) {
    scmp_arg_cmp made{};
    made.arg = one.at("index").get<unsigned>();
    made.datum_a = one.at("value").get<std::uint64_t>();
    made.op = SCMP_CMP_EQ;
    if (one.at("op") == "SCMP_CMP_MASKED_EQ") {
      made.op = SCMP_CMP_MASKED_EQ;
      made.datum_b = one.at("valueTwo").get<std::uint64_t>();
    }
    conditions.push_back(made);
  }
  return conditions;
}

std::uint32_t architectureOf(const std::string& name) {
  // "SCMP_ARCH_X86_64" is "x86_64" here.
  std::string plain = name.substr(sizeof("SCMP_ARCH_") - 1);
  for (char& c : plain) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ::seccomp_arch_resolve_name(plain.c_str());
}

/// What goes before the filter, as in runc: a call that is newer than all that the profile names
/// fails with ENOSYS. With EPERM, C libraries would not turn to the older call in its place.
std::string refuseNewerCalls(const Json& profile) {
  std::string program;
  const auto add = [&program](const sock_filter& instruction) {
    program.append(reinterpret_cast<const char*>(&instruction), sizeof(instruction));
  };
  for (const auto& architecture : profile.at("architectures")) {
    const std::uint32_t token = architectureOf(architecture);
    if (token == SCMP_ARCH_X32) continue;  // has x86_64's token, and this bit in its numbers
    constexpr std::uint32_t kX32 = 0x40000000;
    int last = 0;
    for (const auto& rule : profile.at("syscalls")) {
      for (const auto& name : rule.at("names")) {
        const auto& text = name.get_ref<const std::string&>();
        last = std::max(last, ::seccomp_syscall_resolve_name_arch(token, text.c_str()));
      }
    }
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, token, 0, 4));
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    add(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<std::uint32_t>(last), 0, 2));
    add(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32, 1, 0));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  }
  return program;
}

Status failed(int error, const char* what) {
  return errnoStatus(-error, std::string("cannot compile the seccomp profile: ") + what);
}

}  // namespace

Result<std::string> compileSeccomp(const std::string& profile) {
  const Json parsed = Json::parse(profile);
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(
      ::seccomp_init(actionOf(parsed, "defaultAction", "defaultErrnoRet")), ::seccomp_release);
  if (!filter) return Status(Code::kInternal, "libseccomp cannot make a filter");
  // A tree instead of a list: a system call passes some 10 comparisons, not 300.
  (void)::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const auto& name : parsed.at("architectures")) {
    const int added = ::seccomp_arch_add(filter.get(), architectureOf(name));
    if (added < 0 && added != -EEXIST) return failed(added, "the architecture");
  }
  for (const auto& rule : parsed.at("syscalls")) {
    const auto action = actionOf(rule, "action", "errnoRet");
    const auto conditions = conditionsOf(rule);
    for (const auto& name : rule.at("names")) {
      const int call = ::seccomp_syscall_resolve_name(name.get_ref<const std::string&>().c_str());
      if (call == __NR_SCMP_ERROR) continue;  // newer than this libseccomp
      const int added = ::seccomp_rule_add_array(
          filter.get(), action, call, static_cast<unsigned>(conditions.size()), conditions.data());
      if (added < 0 && added != -EEXIST)
        return failed(added, name.get_ref<const std::string&>().c_str());
    }
  }
  UniqueFd file(::memfd_create("podlab-seccomp", MFD_CLOEXEC));
  if (!file) return errnoStatus(errno, "memfd_create");
  if (const int done = ::seccomp_export_bpf(filter.get(), file.get()); done < 0)
    return failed(done, "export");
  std::string program = refuseNewerCalls(parsed);
  std::array<char, 8192> buffer;
  ssize_t n = 0;
  ::lseek(file.get(), 0, SEEK_SET);
  while ((n = ::read(file.get(), buffer.data(), buffer.size())) > 0)
    program.append(buffer.data(), n);
  return program;
}

}  // namespace podlab::node
