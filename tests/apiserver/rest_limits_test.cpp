// Clients that are slow, many or hostile.
#include "common/sync.hpp"
#include "tests/apiserver/rest_fixture.hpp"

namespace podlab::apiserver {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kReady = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";

class RestLimitsTest : public RestTest {
 protected:
  std::unique_ptr<ByteStream> dial() {
    auto stream = run(dialer_->dial("api"));
    EXPECT_TRUE(stream.ok());
    return std::move(*stream);
  }
  void write(ByteStream& stream, std::string text) {
    auto task = [](ByteStream& to, std::string bytes) -> Co<Status> {
      co_return co_await to.write(std::as_bytes(std::span(bytes)));
    };
    EXPECT_TRUE(run(task(stream, std::move(text))).ok());
  }
  /// What there is; "" at the end of the connection.
  std::string read(ByteStream& stream) {
    auto task = [](ByteStream& from) -> Co<std::string> {
      std::string text(64UL << 10, '\0');
      auto count = co_await from.read(std::as_writable_bytes(std::span(text)));
      text.resize(count ? *count : 0);
      co_return text;
    };
    return run(task(stream));
  }
  std::string readAll(ByteStream& stream) {
    std::string all;
    for (std::string piece = read(stream); !piece.empty(); piece = read(stream)) all += piece;
    return all;
  }
  std::string askOn(ByteStream& stream, const std::string& request) {
    write(stream, request);
    return read(stream);
  }
};

TEST_F(RestLimitsTest, LargeListsComeInPiecesAndTheConnectionGoesOn) {
  for (int i = 0; i < 300; ++i)
    ASSERT_TRUE(create(configMap("map-" + std::to_string(i), std::string(2000, 'x'))).ok());
  const std::string path = kMaps;
  for (const char* accept : {"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io",
                             "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}) {
    const Answer answer = ask("GET", path, "", "", accept);
    EXPECT_THAT(answer.head, HasSubstr("Transfer-Encoding: chunked"));
    const Json list = answer.json();
    const bool table = list["kind"] == "Table";
    EXPECT_EQ(list[table ? "rows" : "items"].size(), 300U) << accept;
    EXPECT_TRUE(list["metadata"].contains("resourceVersion"));
  }
  EXPECT_EQ(ask("GET", path + "?limit=200").json()["items"].size(), 200U);
  const std::string get = "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string both =
      send(get + "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(both, testing::EndsWith("\r\n\r\nok"));
  const std::string head =
      send("HEAD " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(head, testing::EndsWith("Connection: close\r\n\r\n"));
}

TEST_F(RestLimitsTest, AListThatNobodyReadsEnds) {
  for (int i = 0; i < 300; ++i)
    ASSERT_TRUE(create(configMap("map-" + std::to_string(i), std::string(2000, 'x'))).ok());
  auto slow = dial();
  write(*slow, std::string("GET ") + kMaps + " HTTP/1.1\r\nHost: x\r\n\r\n");
  clock_.advance(std::chrono::minutes(2));
  const std::string all = readAll(*slow);
  EXPECT_LT(all.size(), 300'000U);  // of more than 600,000
  EXPECT_THAT(all, Not(testing::EndsWith("0\r\n\r\n")));
}

TEST_F(RestLimitsTest, AWatchThatNobodyReadsEnds) {
  auto slow = dial();
  write(*slow, std::string("GET ") + kMaps + "?watch=true HTTP/1.1\r\nHost: x\r\n\r\n");
  auto quick = dial();
  write(*quick,
        std::string("GET ") + kMaps +
            "?watch=true&fieldSelector=metadata.name%3Dmap-299 HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int i = 0; i < 300; ++i)
    ASSERT_TRUE(create(configMap("map-" + std::to_string(i), std::string(2000, 'x'))).ok());
  clock_.advance(std::chrono::minutes(2));
  EXPECT_THAT(readAll(*slow), Not(testing::EndsWith("0\r\n\r\n")));
  std::string seen;
  while (seen.find("map-299") == std::string::npos) seen += read(*quick);
}

TEST_F(RestLimitsTest, SlowRequestsAreGivenUp) {
  auto head = dial();
  auto body = dial();
  auto idle = dial();
  write(*head, "GET /readyz HTTP/1.1\r\nHo");
  write(*body, std::string("POST ") + kMaps +
                   " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"metadata\"");
  EXPECT_THAT(askOn(*idle, kReady), StartsWith("HTTP/1.1 200"));
  // A byte now and then is not enough.
  for (int i = 0; i < 5; ++i) {
    clock_.advance(std::chrono::seconds(10));
    write(*head, "s");
    write(*body, " ");
  }
  clock_.advance(std::chrono::seconds(11));
  EXPECT_THAT(readAll(*head), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(readAll(*body), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(askOn(*idle, kReady), StartsWith("HTTP/1.1 200"));
  clock_.advance(std::chrono::minutes(4));
  EXPECT_EQ(readAll(*idle), "");
}

TEST_F(RestLimitsTest, TooManyConnectionsAreToldSo) {
  const ConnectionLimits limits{.all = 6, .anonymous = 4, .anonymousOfOneAddress = 2};
  RestServer rest(*service_, relay_, clock_, io_.get_executor(), limits);
  ByteStream::PeerIdentity identity;
  rest.serve(std::make_unique<IdentifiedListener>(std::move(*network_.listen("few")), identity));
  std::map<std::string, std::unique_ptr<Dialer>> dialers;
  const auto from = [&](const std::string& address) {
    auto& dialer = dialers[address];
    if (!dialer) dialer = network_.dialer(address);
    auto stream = run(dialer->dial("few"));
    return std::move(*stream);
  };
  std::vector<std::unique_ptr<ByteStream>> open;
  const auto isServed = [&](const std::string& address) {
    auto stream = from(address);
    const std::string answer = askOn(*stream, kReady);
    if (answer.starts_with("HTTP/1.1 200")) {
      open.push_back(std::move(stream));
      return true;
    }
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 429"));
    EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
    EXPECT_THAT(answer, HasSubstr("\"reason\":\"TooManyRequests\""));
    EXPECT_EQ(read(*stream), "");
    return false;
  };
  EXPECT_TRUE(isServed("10.0.0.1:1"));
  EXPECT_TRUE(isServed("10.0.0.1:2"));
  EXPECT_FALSE(isServed("10.0.0.1:3"));
  EXPECT_TRUE(isServed("10.0.0.2:1"));
  EXPECT_TRUE(isServed("[fd00::1]:1"));
  EXPECT_FALSE(isServed("10.0.0.3:1"));
  identity = {"admin", {"system:masters"}};
  EXPECT_TRUE(isServed("10.0.0.1:4"));
  EXPECT_TRUE(isServed("10.0.0.1:5"));
  EXPECT_FALSE(isServed("10.0.0.1:6"));
  // Those that were there live on, and make room when they go.
  for (const auto& stream : open) EXPECT_THAT(askOn(*stream, kReady), StartsWith("HTTP/1.1 200"));
  open.erase(open.begin());
  clock_.advance(std::chrono::seconds(1));
  identity = {};
  EXPECT_TRUE(isServed("10.0.0.1:7"));
  // Who does not even ask is cut off soon.
  auto silent = from("10.0.0.1:8");
  clock_.advance(std::chrono::seconds(6));
  EXPECT_EQ(read(*silent), "");
  run(rest.stop());
}

TEST_F(RestLimitsTest, NamesLeadNowhere) {
  ASSERT_TRUE(create(configMap("a")).ok());
  for (const char* path :
       {"/api/v1/namespaces/default/configmaps/..", "/api/v1/namespaces/default/configmaps/%2e%2e",
        "/api/v1/namespaces/default/configmaps/..%2fa", "/api/v1/namespaces/%2e./configmaps/a",
        "/api/v1/namespaces/default%2fconfigmaps/a", "/api/v1/namespaces//configmaps/a",
        "/api/v1/namespaces/default/configmaps/a%00", "/api/v1/namespaces/default/configmaps/%ff",
        "/api/v1/namespaces/default/configmaps/a%", "/api/v1/../v1/namespaces",
        "/api/v1/namespaces/default/configmaps/a/b/c"}) {
    EXPECT_EQ(ask("GET", path).code, 404) << path;
  }
  EXPECT_EQ(ask("GET", std::string(kMaps) + "/%61").code, 200);
}

TEST_F(RestLimitsTest, BodiesThatAreWrongAreToldSo) {
  struct Case {
    std::string body;
    int code;
  };
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "[";
  const Case cases[] = {
      {"{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"\xff\"}}", 400},
      {"{\"metadata\":{\"name\":\"a\xc0\x80\"}}", 400},
      {"{\"metadata\":", 400},
      {deep, 400},
      {"{\"data\":" + deep + "}", 400},
      {"null", 400},
      {std::string("k8s\0\xff\xff\xff", 7), 400},
  };
  for (const Case& each : cases)
    EXPECT_EQ(ask("POST", kMaps, each.body).code, each.code) << each.body.substr(0, 60);
  EXPECT_EQ(ask("POST", kMaps, std::string("k8s\0\x0a\xff\xff\xff\xff\x0f", 10),
                "application/vnd.kubernetes.protobuf")
                .code,
            400);
  const Answer large = ask("POST", kMaps, std::string((3UL << 20) + 1, ' '));
  EXPECT_EQ(large.code, 413);
  EXPECT_THAT(large.body, HasSubstr("Request entity too large: limit is 3145728"));
}

}  // namespace
}  // namespace podlab::apiserver
