// Attention on a GPU: every shape and the C library against float64; 77 where there is no GPU.
//
//   attention_gpu_test [--test]        the test
//   attention_gpu_test --bench         the test, then the time of every shape, a line of JSON each
//   attention_gpu_test --bench-only    the times alone, each with a few rows looked at
//   attention_gpu_test --small         a few small cases, for compute-sanitizer
//   attention_gpu_test --hello         only whether there is a GPU that the kernels run on
//
// A second word keeps to the ways whose names begin with it: half, bfloat, hopper, library. So one that hangs or faults spoils no other's run.

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>

#include "attention_variants.cuh"
#include "halves.h"
#include "videoscene_rt_kernels.h"

namespace {

constexpr size_t GUARD = 4096;
constexpr int NO_GPU = 77;

void check(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// 16-bit values on the device between two guards.
class Values {
 public:
  explicit Values(const std::vector<uint16_t> &values) : bytes_(values.size() * 2) {
    check(cudaMalloc(&base_, bytes_ + 2 * GUARD), "cudaMalloc");
    check(cudaMemset(base_, 0xff, bytes_ + 2 * GUARD), "cudaMemset");  // NaN, which a kernel that reads too far would show
    check(cudaMemcpy(data(), values.data(), bytes_, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~Values() { cudaFree(base_); }
  Values(const Values &) = delete;
  Values &operator=(const Values &) = delete;

  void *data() const { return static_cast<char *>(base_) + GUARD; }
  void spoil() const { check(cudaMemset(base_, 0xff, bytes_ + 2 * GUARD), "cudaMemset"); }
  std::vector<uint16_t> read() const {
    std::vector<uint16_t> values(bytes_ / 2);
    check(cudaMemcpy(values.data(), data(), bytes_, cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }
  bool guarded() const {
    std::vector<unsigned char> all(2 * GUARD);
    check(cudaMemcpy(all.data(), base_, GUARD, cudaMemcpyDeviceToHost), "cudaMemcpy");
    check(cudaMemcpy(all.data() + GUARD, static_cast<char *>(data()) + bytes_, GUARD, cudaMemcpyDeviceToHost), "cudaMemcpy");
    return std::all_of(all.begin(), all.end(), [](unsigned char byte) { return byte == 0xff; });
  }

 private:
  size_t bytes_;
  void *base_ = nullptr;
};

// A case on the device.
struct Problem {
  const AttentionCase &c;
  Values query, key, value, out;

  explicit Problem(const AttentionCase &given)
      : c(given), query(given.query), key(given.key), value(given.value), out(given.query) {}

  AttentionArguments arguments() const {
    AttentionArguments a{};
    a.query = query.data(), a.key = key.data(), a.value = value.data(), a.out = out.data();
    a.query_batch = a.out_batch = c.batch_stride(c.queries), a.query_head = a.out_head = c.head_stride(c.queries);
    a.key_batch = a.value_batch = c.batch_stride(c.keys), a.key_head = a.value_head = c.head_stride(c.keys);
    a.query_token = a.key_token = a.value_token = a.out_token = c.token_stride();
    a.batch = c.batch, a.heads = c.heads, a.queries = c.queries, a.keys = c.keys;
    a.scale = (float)(c.scale * 1.4426950408889634);
    return a;
  }

  VsrtAttentionConfig config() const {
    VsrtAttentionConfig config{c.batch, c.heads, c.queries, c.keys, c.format == Format::HALF ? VSRT_FLOAT16 : VSRT_BFLOAT16, c.scale,
                               {},      {},      {},        {}};
    for (int64_t *strides : {config.query_strides, config.out_strides})
      strides[0] = c.batch_stride(c.queries), strides[1] = c.head_stride(c.queries), strides[2] = c.token_stride();
    for (int64_t *strides : {config.key_strides, config.value_strides})
      strides[0] = c.batch_stride(c.keys), strides[1] = c.head_stride(c.keys), strides[2] = c.token_stride();
    return config;
  }
};

bool launch(const Variant &variant, const Problem &problem, cudaStream_t stream) {
  AttentionArguments a = problem.arguments();
  const int64_t blocks = (int64_t)a.batch * a.heads * ((a.queries + variant.rows - 1) / variant.rows);
  void *arguments[] = {&a};
  const void *const function = reinterpret_cast<const void *>(variant.kernel);
  cudaError_t error = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, variant.shared_bytes);
  if (error == cudaSuccess)
    error = cudaLaunchKernel(function, dim3((unsigned)blocks), dim3(variant.threads), arguments, variant.shared_bytes, stream);
  if (error != cudaSuccess) std::fprintf(stderr, "%s: %s\n", variant.name, cudaGetErrorString(error));
  return error == cudaSuccess;
}

bool enqueue(const Problem &problem, cudaStream_t stream) {
  const VsrtAttentionConfig config = problem.config();
  const VsrtStatus status = vsrt_attention_enqueue(&config, problem.query.data(), problem.key.data(), problem.value.data(),
                                                   problem.out.data(), stream);
  if (status != VSRT_OK) std::fprintf(stderr, "vsrt_attention_enqueue: %s\n", vsrt_status_string(status));
  return status == VSRT_OK;
}

typedef std::function<bool(const Problem &, cudaStream_t)> Way;

bool right(const Problem &problem, const Expected &expected, const std::string &who, const Way &way, cudaStream_t stream,
           double *worst) {
  problem.out.spoil();
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  if (!way(problem, stream)) return false;
  check(cudaStreamSynchronize(stream), who.c_str());
  const std::vector<uint16_t> first = problem.out.read();
  bool good = expected.holds(first, who, worst);
  if (!way(problem, stream)) return false;
  check(cudaStreamSynchronize(stream), who.c_str());
  if (problem.out.read() != first) good = false, std::fprintf(stderr, "%s: a second run differs\n", who.c_str());
  if (!problem.out.guarded()) good = false, std::fprintf(stderr, "%s: something was written outside the output\n", who.c_str());
  return good;
}

std::vector<AttentionCase> cases() {
  std::vector<AttentionCase> all;
  for (Format format : {Format::HALF, Format::BFLOAT}) {
    for (int tokens : {1, 63, 64, 65, 127, 129, 1000})
      all.push_back(random_case(format, 1, 2, tokens, tokens, tokens % 2 == 0, 1.0f, tokens));
    all.push_back(random_case(format, 2, 3, 70, 301, true, 2.0f, 5));
    all.push_back(random_case(format, 1, 2, 300, 33, false, 1.0f, 6));
    for (AttentionCase &c : adversarial_cases(format, 150, 333, 7)) all.push_back(std::move(c));
  }
  return all;
}

std::vector<int64_t> some_rows(const AttentionCase &c, int count, uint32_t seed) {
  std::mt19937 random(seed);
  const int64_t all = (int64_t)c.batch * c.heads * c.queries;
  std::vector<int64_t> rows = {0, c.queries - 1, all - 1, all - c.queries};
  while ((int)rows.size() < count) rows.push_back((int64_t)(random() % (uint64_t)all));
  return rows;
}

std::string chosen;  // how the names of ways begin

// Every way that a case's format has and that is chosen: the shapes, then the library.
std::vector<std::pair<std::string, Way>> ways(Format format) {
  std::vector<std::pair<std::string, Way>> all;
  for (const Variant &variant : variants())
    if (variant.format == format)
      all.emplace_back(variant.name, [&variant](const Problem &p, cudaStream_t s) { return launch(variant, p, s); });
  all.emplace_back(format == Format::HALF ? "library_half" : "library_bfloat", enqueue);
  const auto other = [](const auto &way) { return way.first.rfind(chosen, 0) != 0; };
  all.erase(std::remove_if(all.begin(), all.end(), other), all.end());
  return all;
}

void test(const AttentionCase &c, const Expected &expected, cudaStream_t stream, int &failed, int &done, double &worst) {
  const Problem problem(c);
  for (const auto &[who, way] : ways(c.format)) failed += !right(problem, expected, who, way, stream, &worst), ++done;
}

bool refuses_what_is_wrong() {
  const AttentionCase c = random_case(Format::HALF, 1, 1, 16, 16, false, 1.0f, 1);
  const Problem p(c);
  const auto status = [&](const VsrtAttentionConfig &config, const void *query, int64_t shift = 0) {
    return vsrt_attention_enqueue(&config, query, p.key.data(), p.value.data(), static_cast<char *>(p.out.data()) + shift, nullptr);
  };
  VsrtAttentionConfig config = p.config();
  bool good = vsrt_attention_enqueue(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) == VSRT_NULL_POINTER;
  good = status(config, nullptr) == VSRT_NULL_POINTER && status(config, p.query.data(), 8) == VSRT_BAD_ALIGNMENT && good;
  const auto refused = [&](VsrtStatus wanted, auto change) {
    VsrtAttentionConfig wrong = config;
    change(wrong);
    good = status(wrong, p.query.data()) == wanted && good;
  };
  refused(VSRT_BAD_SIZE, [](auto &w) { w.keys = 0; });
  refused(VSRT_BAD_SIZE, [](auto &w) { w.heads = -1; });
  refused(VSRT_BAD_SIZE, [](auto &w) { w.format = 2; });
  refused(VSRT_BAD_SIZE, [](auto &w) { w.scale = 0.0f; });
  refused(VSRT_BAD_SIZE, [](auto &w) { w.scale = NAN; });
  refused(VSRT_BAD_SIZE, [](auto &w) { w.queries = 1 << 30, w.heads = 64; });
  refused(VSRT_BAD_ALIGNMENT, [](auto &w) { w.key_strides[2] = 63; });
  if (!good) std::fprintf(stderr, "something wrong was not refused\n");
  return good;
}

// Milliseconds of each of some runs, after others that warm up.
std::vector<float> times(const Problem &problem, const Way &way, int runs, cudaStream_t stream) {
  std::vector<float> found(runs);
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "cudaEventCreate"), check(cudaEventCreate(&end), "cudaEventCreate");
  for (int run = -3; run < runs; ++run) {
    check(cudaEventRecord(begin, stream), "cudaEventRecord");
    if (!way(problem, stream)) return {};
    check(cudaEventRecord(end, stream), "cudaEventRecord");
    check(cudaEventSynchronize(end), "the kernel");
    if (run >= 0) check(cudaEventElapsedTime(&found[run], begin, end), "cudaEventElapsedTime");
  }
  cudaEventDestroy(begin), cudaEventDestroy(end);
  std::sort(found.begin(), found.end());
  return found;
}

void bench(const AttentionCase &c, int runs, cudaStream_t stream, int &failed) {
  const Problem problem(c);
  const Expected expected(c, some_rows(c, 12, 3));
  for (const auto &[who, way] : ways(c.format)) {
    double worst = 0.0, relative = 0.0;
    problem.out.spoil();
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    if (!way(problem, stream)) {
      ++failed;
      continue;
    }
    check(cudaStreamSynchronize(stream), who.c_str());
    const bool good = expected.holds(problem.out.read(), who, &worst, &relative);
    failed += !good;
    const std::vector<float> found = times(problem, way, runs, stream);
    if (found.empty()) continue;
    const double flop = 4.0 * c.batch * c.heads * c.queries * (double)c.keys * 64, p50 = found[found.size() / 2];
    std::printf("{\"way\":\"%s\",\"heads\":%d,\"tokens\":%d,\"together\":%s,\"right\":%s,\"of_limit\":%.3f,\"relative_error\":%.6f,\"runs\":%d,\"ms_min\":%.4f,"
                "\"ms_p50\":%.4f,\"ms_max\":%.4f,\"tflops\":%.1f}\n",
                who.c_str(), c.heads, c.keys, c.together ? "true" : "false", good ? "true" : "false", worst, relative, runs, found.front(),
                p50, found.back(), flop / p50 * 1e-9);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char **words) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("there is no GPU\n");
    return NO_GPU;
  }
  const std::string word = count > 1 ? words[1] : "";
  chosen = count > 2 ? words[2] : "";
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  int failed = 0, done = 0;
  double worst = 0.0;
  if (word == "--hello" || word == "--small") {
    const int tokens = word == "--hello" ? 16 : 150;
    const AttentionCase c = random_case(Format::HALF, 1, 2, tokens, tokens, true, 1.0f, 1);
    test(c, Expected(c), stream, failed, done, worst);
    std::printf("%d of %d are right\n", done - failed, done);
    return failed == 0 || word == "--hello" ? 0 : 1;
  }
  if (word != "--bench-only") {  // "", "--test" or "--bench"
    for (const AttentionCase &c : cases()) test(c, Expected(c), stream, failed, done, worst);
    const AttentionCase published = random_case(Format::HALF, 1, 2, 17776, 17776, true, 1.0f, 8);
    test(published, Expected(published, some_rows(published, 24, 1)), stream, failed, done, worst);
    failed += !refuses_what_is_wrong(), ++done;
    std::printf("%d of %d are right; the largest error is %.2f of its limit\n", done - failed, done, worst);
    std::fflush(stdout);
  }
  if (word == "--bench" || word == "--bench-only") {
    for (bool together : {true, false}) bench(random_case(Format::HALF, 1, 48, 17776, 17776, together, 1.0f, 1), 7, stream, failed);
    bench(random_case(Format::BFLOAT, 1, 48, 17776, 17776, true, 1.0f, 1), 7, stream, failed);
    bench(random_case(Format::HALF, 1, 12, 1296, 1296, true, 1.0f, 2), 50, stream, failed);
  }
  check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  return failed == 0 ? 0 : 1;
}
