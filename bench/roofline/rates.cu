// Kernels that do nothing but multiply and add, so that their time says how fast a multiprocessor can: no memory, eight independent sums a warp.
// The sums are written where a condition that never holds says so, or the compiler would leave the loops out.

constexpr int kSums = 8;

extern "C" __global__ void fp32_rate(int turns, float* out) {
    float sums[kSums];
    const float a = 1.0f + threadIdx.x * 1e-9f, b = 1e-9f;
    for (int i = 0; i < kSums; ++i) sums[i] = i;
    for (int turn = 0; turn < turns; ++turn)
#pragma unroll
        for (int i = 0; i < kSums; ++i) sums[i] = fmaf(sums[i], a, b);
    float total = 0;
    for (int i = 0; i < kSums; ++i) total += sums[i];
    if (total == -1.0f) out[threadIdx.x] = total;
}

#if __CUDA_ARCH__ >= 800
// PTX ISA, mma.sync.aligned.m16n8k16: 16 x 8 sums of 16 products each, by a warp.
extern "C" __global__ void fp16_rate(int turns, float* out) {
    float sums[kSums][4] = {};
    const unsigned a = 0x3c003c00u + threadIdx.x % 2, b = 0x00010001u;
    for (int turn = 0; turn < turns; ++turn)
#pragma unroll
        for (int i = 0; i < kSums; ++i)
            asm volatile(
                "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%4,%4,%4}, {%5,%5}, {%0,%1,%2,%3};"
                : "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])
                : "r"(a), "r"(b));
    float total = 0;
    for (int i = 0; i < kSums; ++i) total += sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3];
    if (total == -1.0f) out[threadIdx.x] = total;
}

// PTX ISA, mma.sync.aligned.m16n8k32 of signed bytes: 16 x 8 sums of 32 products each, by a warp.
extern "C" __global__ void int8_rate(int turns, float* out) {
    int sums[kSums][4] = {};
    const unsigned a = 0x01010101u + threadIdx.x % 2, b = 0x01000100u;
    for (int turn = 0; turn < turns; ++turn)
#pragma unroll
        for (int i = 0; i < kSums; ++i)
            asm volatile(
                "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%4,%4,%4}, {%5,%5}, {%0,%1,%2,%3};"
                : "+r"(sums[i][0]), "+r"(sums[i][1]), "+r"(sums[i][2]), "+r"(sums[i][3])
                : "r"(a), "r"(b));
    int total = 0;
    for (int i = 0; i < kSums; ++i) total += sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3];
    if (total == -1) out[threadIdx.x] = total;
}
#else
extern "C" __global__ void fp16_rate(int, float*) {}
extern "C" __global__ void int8_rate(int, float*) {}
#endif
