#!/usr/bin/env python3
"""Puts one fault at a time into the scheduler's index, and has its differential test find it.

  tests/mutations/node_index.py [BUILD [NUMBER...]]   BUILD: a built preset's folder (build/dev); NUMBER: of a
                                                      fault, instead of all

Nothing of the tree is changed: the faulty file is compiled beside, by the build's own commands. Exit
0 when each fault is caught, 3 when one is not, 4 when there is no build.
"""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROUNDS = "2000"
INDEX_FILES = ["node_grid.cpp", "use_scores.cpp", "shape_counts.cpp", "node_index.cpp"]

# (file, what stands there once, what stands there instead)
FAULTS = [
    ("node_set.hpp", "words_[slot / 64] &= ~bit(slot)", "words_[slot / 64] |= bit(slot)"),
    ("node_set.hpp", "found != kNone ? found : firstIn(0, cursor, among)", "found"),
    ("node_set.hpp", "*at < end; ++at) {", "*at + 1 < end; ++at) {"),
    ("node_grid.hpp", "if (candidateScore < score ||", "if (candidateScore <= score ||"),
    ("node_grid.hpp", "return isAfter != (slot >= cursor) ? isAfter : candidate < slot;", "return isAfter ? candidate < slot : candidate < slot;"),
    ("node_grid.hpp", "? isAfter : candidate < slot;", "? isAfter : candidate > slot;"),
    ("node_grid.hpp", "? isAfter : candidate < slot;", "? !isAfter : candidate < slot;"),
    ("node_grid.cpp", "const std::int64_t fit = hasCpu_ && hasMemory_ ? sum / 2 : sum;", "const std::int64_t fit = sum / 3;"),
    ("node_grid.cpp", "1 - extent.low - wanted", "1 - extent.high - wanted"),
    ("node_grid.cpp", "std::min(1.0, extent.high + wanted)", "std::min(1.0, extent.low)"),
    ("node_grid.cpp", "high = std::max(high, value);", "high = value;"),
    ("node_grid.cpp", "low = std::min(low, value);", "low = value;"),
    ("node_grid.cpp", "return fit + floored(1 - gap / 2);", "return fit + floored(1 - gap);"),
    ("node_grid.cpp", "if (!hasCpu_ || !hasMemory_) return fit + 100;", "if (!hasCpu_ || !hasMemory_) return fit;"),
    ("node_grid.cpp", "if (i != first && reach[i] >= best.score)", "if (i != first && reach[i] > best.score)"),
    ("node_grid.cpp", "&region != highest && base + bound.of(region.box) >= best.score", "false"),
    ("node_grid.cpp", "if (highest == nullptr || highestReach < best.score) return;",
     "if (highest == nullptr || highestReach <= best.score) return;"),
    ("node_grid.cpp", "if (reach <= best.score && (reach < best.score || !best.winsTie(slot))) continue;",
     "if (reach <= best.score) continue;"),
    ("node_grid.cpp", "if (among != nullptr && !among->contains(slot)) continue;", "(void)among;"),
    ("node_grid.cpp", "if (fits(pod, node, slot)) best.consider", "best.consider"),
    ("node_grid.cpp", "node.pods + 1 > node.allPods", "node.pods > node.allPods"),
    ("node_grid.cpp", "wanted > 0 && wanted > room - used", "wanted > room - used"),
    ("node_grid.cpp", "wanted > 0 && wanted > room - used", "wanted > 0 && wanted >= room - used"),
    ("node_grid.cpp", "node.allMemory, node.memory))", "node.allMemory, node.scoredMemory))"),
    ("node_grid.cpp", "if (pod.requests.others.empty()) return true;", "return true;"),
    ("node_grid.cpp", "if (pod.requestsNothing) return fit;", ""),
    ("node_grid.cpp", "node.scoredCpu + pod.scoredCpuMilli", "node.cpu + pod.scoredCpuMilli"),
    ("node_grid.cpp", "node.memory + pod.requests.memoryBytes", "node.memory + pod.scoredMemoryBytes"),
    ("node_grid.cpp", "*spec.mutable_taints() = node.spec().taints();", ""),
    ("node_grid.cpp", "if (node.spec().unschedulable()) spec.set_unschedulable(true);", ""),
    ("node_grid.cpp", "*part.mutable_status()->mutable_images() = node.status().images();", ""),
    ("node_grid.cpp", "key += ' ' + std::to_string(info.allocatablePods());", ""),
    ("node_grid.cpp", "const bool isOther = profile != nodes_[slot].profile;", "const bool isOther = false;"),
    ("use_scores.cpp", "if (score != score_[slot]) move(slot, score);", "if (score > score_[slot]) move(slot, score);"),
    ("use_scores.cpp", "nodes[from].erase(slot);", ""),
    ("use_scores.cpp", "if (score < best.score) return;", "if (score <= best.score) return;"),
    ("use_scores.cpp", "grid_.fits(shape_, slot)", "true"),
    ("shape_counts.cpp", "if (isSpread && pod.isTerminating) continue;", "(void)isSpread;"),
    ("shape_counts.cpp", "if (!counter.counts[profile] || !hasLabel(counter, profile)) continue;",
     "if (!hasLabel(counter, profile)) continue;"),
    ("shape_counts.cpp", "other.ns == shape_->ns && shape_->terms", "shape_->terms"),
    ("shape_counts.cpp", "return shape_->terms.matchesAffinity(other.ns, other.labels, namespaces);",
     "return shape_->terms.affinity[counter.index].matches(other.ns, other.labels, namespaces);"),
    ("shape_counts.cpp", "hasSome = true;", ""),
    ("shape_counts.cpp", "if (pod->shape.get() != &other) continue;", "if (pod->shape.get() == &other) continue;"),
    ("shape_counts.cpp", "return term.topologyKey == counter.key &&", "return"),
    ("shape_counts.cpp", "from.fitsOf[profile] -= fits_[slot];", ""),
    ("shape_counts.cpp", "--from.nodesOf[profile];", ""),
    ("shape_counts.cpp", "from.nodes.erase(slot);", ""),
    ("shape_counts.cpp", "if (fits == fits_[slot]) return;", "return;"),
    ("shape_counts.cpp", "return enough ? least : 0;", "return enough ? least : least;"),
    ("shape_counts.cpp", "+ self - least[i] > constraint.maxSkew", "+ 0 * self - least[i] > constraint.maxSkew"),
    ("shape_counts.cpp", "+ self - least[i] > constraint.maxSkew", "+ self - least[i] >= constraint.maxSkew"),
    ("shape_counts.cpp", "if (!hasLabel(counter, profile)) return false;", "if (!hasLabel(counter, profile)) continue;"),
    ("shape_counts.cpp", "hasAll = hasAll && hasKey && valueAt(counter, profile, level) > 0;",
     "hasAll = hasAll && hasKey;"),
    ("shape_counts.cpp", "hasAll || (hasKeys && nobody && matchesItself_)", "hasAll || (hasKeys && nobody)"),
    ("shape_counts.cpp", "hasAll || (hasKeys && nobody && matchesItself_)", "hasAll"),
    ("shape_counts.cpp", "nodes += isCounted(candidate) ? candidate.fits : 0", "nodes += isCounted(candidate) ? 1 : 0"),
    ("shape_counts.cpp", "isCounted(candidate) && hasLabel(*counter, candidate.group.profile)",
     "hasLabel(*counter, candidate.group.profile)"),
    ("shape_counts.cpp", "spread = max == 0 ? 100 :", "spread = max == 0 ? 0 :"),
    ("shape_counts.cpp", "(hasAll || (!isHard && terms.spreadIsDefault)) &&", "hasAll &&"),
    ("shape_counts.cpp", "domains += level.nodesOf[profile];", "++domains;"),
    ("node_index.cpp", "if (nodesChanged) state.scores = nullptr;", ""),
    ("node_index.cpp", "      state.scores->update(changes_[i - changesBefore_]);", "      ;"),
    ("node_index.cpp", "state.scores->resources() != resources ||", ""),
    ("node_index.cpp", "!runFilters(pod, sample).filter.empty()", "false"),
    ("node_index.cpp", "state.taints[i] = softTaints(*pod.shape, sample);", ""),
    ("node_index.cpp", "const bool varies = state.hasTaints || state.hasWeights;", "const bool varies = state.hasTaints;"),
    ("node_index.cpp", "if (grid_.updateNode(slot) || isOther) ++nodesVersion_;", "grid_.updateNode(slot); (void)isOther;"),
    ("node_index.cpp", "!shape.hostPorts.empty() ||", ""),
    ("node_index.cpp", "if (!add(weighted.preference())) return std::nullopt;", "add(weighted.preference());"),
    ("node_index.cpp", "    bearers_.push_back(pod.shape);\n      ++bearersVersion_;", "    bearers_.push_back(pod.shape);"),
    ("node_index.cpp", "placed.nodes.insert(slot);", ""),
    ("node_index.cpp", "placed.concerned.push_back(state.get());", ";"),
    ("node_index.cpp", "key == api::kHostnameLabel && !isNodesOwn", "false"),
    ("node_index.cpp", "void NodeIndex::namespacesChanged() {\n  forgetShapes();", "void NodeIndex::namespacesChanged() {"),
]


def commands_of(build, target):
    text = subprocess.run(["ninja", "-C", build, "-t", "commands", target], check=True,
                          capture_output=True, text=True).stdout
    return text.splitlines()


class Bench:
    """Compiles a file beside the tree, and links the test with it."""

    def __init__(self, build):
        self.build = build
        self.test = "tests/scheduler/podlab_scheduler_test"
        lines = commands_of(build, self.test)
        self.link = lines[-1]
        self.compile = {}
        for line in lines:
            found = re.search(r"-c (\S+/src/scheduler/(\w+\.cpp))$", line)
            if found:
                self.compile[found.group(2)] = (line, found.group(1))
        self.library = "src/scheduler/libpodlab_scheduler.a"

    def run(self, name, text):
        """The test's exit code with this text as the file, None when it does not compile."""
        with tempfile.TemporaryDirectory(prefix="podlab-mutation-") as folder:
            os.makedirs(os.path.join(folder, "scheduler"))
            path = os.path.join(folder, "scheduler", name)
            with open(path, "w") as file:
                file.write(text)
            objects = []
            for source in [name] if name.endswith(".cpp") else INDEX_FILES:
                line, original = self.compile[source]
                made = os.path.join(folder, source + ".o")
                line = re.sub(r" -o \S+ -c \S+$", "", line)
                line = re.sub(r" -MD -MT \S+ -MF \S+", "", line)
                line = line.replace(" -I", f" -I{folder} -I", 1)
                use = path if name.endswith(".cpp") else original
                if not self.shell(f"{line} -o {made} -c {use}"):
                    return None
                objects.append(made)
            program = os.path.join(folder, "test")
            link = self.link.replace(f"-o {self.test}", f"-o {program} {' '.join(objects)} "
                                     "-Wl,--allow-multiple-definition")
            if not self.shell(link):
                raise SystemExit("cannot link: " + link)
            environment = dict(os.environ, PODLAB_TEST_ROUNDS=ROUNDS)
            try:
                return subprocess.run([program, "--gtest_filter=NodeIndex.*"], env=environment,
                                      capture_output=True, timeout=300).returncode
            except subprocess.TimeoutExpired:
                return "timeout"

    def shell(self, command):
        return subprocess.run(command, shell=True, cwd=self.build, capture_output=True).returncode == 0


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build/dev"))
    if not os.path.exists(os.path.join(build, "tests/scheduler/podlab_scheduler_test")):
        print(f"{build} has no tests/scheduler/podlab_scheduler_test: build it first", file=sys.stderr)
        return 4
    bench = Bench(build)
    survived = []
    chosen = [int(number) for number in sys.argv[2:]] or range(1, len(FAULTS) + 1)
    for number in chosen:
        name, old, new = FAULTS[number - 1]
        with open(os.path.join(ROOT, "src/scheduler", name)) as file:
            text = file.read()
        if text.count(old) != 1:
            print(f"{number}: {name} has {text.count(old)} times: {old}", file=sys.stderr)
            return 2
        code = bench.run(name, text.replace(old, new))
        caught = code not in (0, None)
        verdict = "caught" if caught else "DOES NOT COMPILE" if code is None else "SURVIVED"
        print(f"{number:3} {verdict:8} {name}: {' '.join(old.split())} -> {' '.join(new.split())}",
              flush=True)
        if not caught:
            survived.append(number)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} faults caught")
    return 3 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
