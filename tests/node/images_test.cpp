// What a pod shows of its images.
#include <gmock/gmock.h>

#include <csignal>

#include "node/stand_in.hpp"
#include "node/stop_signal.hpp"
#include "node/stored_images.hpp"
#include "tests/node/node_fixture.hpp"

namespace podlab::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ImagesTest : public PodTest {
 protected:
  static corev1::Pod podOf(const std::string& image) {
    auto pod = makePod("web");
    pod.mutable_spec()->mutable_containers(0)->set_image(image);
    return pod;
  }
  static Image stoppedBy(const std::string& signal) {
    Image image;
    image.id = "x";
    image.command = {"/pause"};
    image.stopSignal = signal;
    return image;
  }
  static Image standIn() {
    Image image;
    image.id = kStandInId;
    image.isHost = image.standIn = true;
    return image;
  }
};

INSTANTIATE_TEST_SUITE_P(Workers, ImagesTest, workersStayAndGo(), workerName);

TEST_P(ImagesTest, AMalformedNameIsSaidAsKubeletDoes) {
  boot();
  add(podOf("Bad:Name"));
  const auto waiting = container("web").state().waiting();
  EXPECT_EQ(waiting.reason(), "InvalidImageName");
  EXPECT_THAT(waiting.message(), HasSubstr("Failed to apply default image tag \"Bad:Name\": "));
  EXPECT_EQ(eventCount("InspectFailed"), 1);
  EXPECT_EQ(eventMessage("Failed"), "Error: InvalidImageName");
  // Correcting it starts the container.
  auto corrected = podOf("app:1");
  corrected.mutable_metadata()->set_uid(uidOf("web"));
  *corrected.mutable_status() = status("web");
  add(corrected);
  EXPECT_TRUE(ready("web"));
}

TEST_P(ImagesTest, TheStopSignalOutlivesTheAgent) {
  images_.setImage("app:1", stoppedBy("SIGQUIT"));
  boot();
  const auto id = add(makePod("web")) + "_main_0";
  ASSERT_NE(runtime_.running(id), nullptr);
  EXPECT_EQ(runtime_.running(id)->stopSignal, SIGQUIT);
  stop();
  launch();
  remove("web");
  // The simulated container ignores any other.
  EXPECT_FALSE(exists("web"));
  EXPECT_EQ(runtime_.runningCount(), 0U);
}

TEST_P(ImagesTest, APodsStopSignalGoesBeforeTheImages) {
  images_.setImage("app:1", stoppedBy("SIGQUIT"));
  boot();
  auto pod = makePod("own");
  auto& container = *pod.mutable_spec()->mutable_containers(0);
  container.mutable_lifecycle()->set_stopsignal("SIGUSR1");
  const auto own = add(pod) + "_main_0";
  ASSERT_NE(runtime_.running(own), nullptr);
  EXPECT_EQ(runtime_.running(own)->stopSignal, SIGUSR1);
  EXPECT_EQ(this->container("own").stopsignal(), "SIGUSR1");
}

TEST_P(ImagesTest, TheNormalisedNameIsNoOtherImage) {
  boot();
  add(podOf("app"));
  EXPECT_EQ(container("web").image(), "docker.io/library/app:latest");
  // The status alone is left, with that name in it.
  stop();
  (void)files_.removeTree(PodFolder(stateFolder_, uidOf("web")).record());
  launch();
  EXPECT_EQ(container("web").restartcount(), 0);
  EXPECT_EQ(runtime_.starts(), 1U);
}

TEST_P(ImagesTest, AStandInIsVisible) {
  images_.setImage("nginx", standIn());
  boot();
  auto pod = podOf("nginx");
  pod.mutable_spec()->mutable_containers(0)->add_ports()->set_containerport(80);
  const auto id = add(pod) + "_main_0";
  const auto* spec = runtime_.running(id);
  ASSERT_NE(spec, nullptr);
  EXPECT_THAT(spec->argv,
              ElementsAre(kStandInProgram, "stand-in", HasSubstr("container=main"), "tcp:80"));
  EXPECT_EQ(container("web").imageid(), kStandInId);
  EXPECT_EQ(eventCount("StandIn"), 1);
  EXPECT_THAT(eventMessage("StandIn"), HasSubstr("listens on 80/tcp"));
  EXPECT_EQ(eventCount("Pulled"), 0);
  const auto state = status("web");
  const auto* condition = api::findCondition(state, "podlab.io/StandIn");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->message(), "containers with stand-in status: [main]");
  // The image comes, and the next instance is the real one.
  Image real;
  real.id = "real";
  real.command = {"/nginx"};
  images_.setImage("nginx", real);
  runtime_.exit(id, 1);
  clock_.runUntilIdle();
  EXPECT_EQ(container("web").imageid(), "real");
  EXPECT_FALSE(api::isTrue(status("web"), "podlab.io/StandIn"));
}

TEST_P(ImagesTest, TheNodeListsTheLargest) {
  std::vector<ListedImage> images;
  for (int i = 0; i < 60; ++i)
    images.push_back({{"image" + std::to_string(i)}, static_cast<std::uint64_t>(i)});
  images_.setListed(images);
  boot();
  const auto node = api_.find<corev1::Node>("node-1");
  ASSERT_EQ(node->status().images_size(), 50);
  EXPECT_EQ(node->status().images(0).names(0), "image59");
  EXPECT_EQ(node->status().images(0).sizebytes(), 59);
}

TEST(StandIn, ListensOnDeclaredAndProbedPorts) {
  corev1::Pod pod = makePod("web", {"one", "two"});
  auto& one = *pod.mutable_spec()->mutable_containers(0);
  const auto port = [](corev1::Container& container, int number, const std::string& protocol,
                       const std::string& name) {
    auto& added = *container.add_ports();
    added.set_containerport(number);
    added.set_protocol(protocol);
    added.set_name(name);
  };
  port(one, 80, "TCP", "http");
  port(one, 53, "UDP", "");
  port(one, 80, "TCP", "again");
  auto& http = *one.mutable_readinessprobe()->mutable_handler()->mutable_httpget();
  http.mutable_port()->set_type(1);
  http.mutable_port()->set_strval("http");
  auto& tcp = *one.mutable_livenessprobe()->mutable_handler()->mutable_tcpsocket();
  tcp.mutable_port()->set_intval(9000);
  EXPECT_THAT(standInPorts(pod, one),
              ElementsAre(StandInPort{"tcp", 80, ""}, StandInPort{"udp", 53, ""},
                          StandInPort{"tcp", 9000, ""}));
  auto& two = *pod.mutable_spec()->mutable_containers(1);
  port(two, 80, "TCP", "");
  port(two, 53, "TCP", "");
  EXPECT_THAT(standInPorts(pod, two),
              ElementsAre(StandInPort{"tcp", 80, "one"}, StandInPort{"tcp", 53, ""}));
  EXPECT_EQ(standInCommand(pod, two, false).at(3), "tcp:80:one");
  EXPECT_EQ(standInCommand(pod, two, true).back(), "--end");
  EXPECT_THAT(standInMessage(pod, two), HasSubstr("80/tcp is left to container one"));
}

TEST(StopSignal, IsReadFromItsName) {
  EXPECT_EQ(stopSignalOf("SIGINT"), SIGINT);
  EXPECT_EQ(stopSignalOf("QUIT"), SIGQUIT);
  EXPECT_EQ(stopSignalOf("3"), 3);
  EXPECT_EQ(stopSignalOf("SIGIO"), SIGIO);
  EXPECT_EQ(stopSignalOf("SIGIOT"), SIGABRT);
  EXPECT_EQ(stopSignalOf("SIGCLD"), SIGCHLD);
  EXPECT_EQ(stopSignalOf("SIGRTMIN+3"), SIGRTMIN + 3);
  EXPECT_EQ(stopSignalOf("RTMAX-1"), SIGRTMAX - 1);
  for (const char* unknown : {"", "SIGNOTHING", "0", "99", "SIGRTMIN+99", "-9", "9x"})
    EXPECT_EQ(stopSignalOf(unknown), SIGTERM) << unknown;
}

}  // namespace
}  // namespace podlab::node
