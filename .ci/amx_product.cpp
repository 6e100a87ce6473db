// One product of 8-bit matrices on AMX tiles, made as llama.cpp makes it (ggml-cpu/amx/mmq.cpp) and
// compared with plain loops: ends with 0 where compiler and processor get it right.
// GCC 12 leaves most of the tile configuration unset, and the program ends by a signal.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <immintrin.h>
#include <omp.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr int M = 16, N = 16, K = 32;

struct tile_config_t {
    uint8_t palette_id = 0;
    uint8_t start_row = 0;
    uint8_t reserved_0[14] = {0};
    uint16_t colsb[16] = {0};
    uint8_t rows[16] = {0};
};

// In a function of its own: among other code GCC 12 happens to get it right.
__attribute__((noinline)) void configure() {
    static thread_local bool done = false;
    if (done) {
        return;
    }
    alignas(64) tile_config_t tc = {};
    tc.palette_id = 1;
    tc.start_row = 0;
    tc.rows[0] = 8;   tc.colsb[0] = 64;
    tc.rows[1] = 8;   tc.colsb[1] = 64;
    tc.rows[2] = 16;  tc.colsb[2] = 32;
    tc.rows[3] = 16;  tc.colsb[3] = 32;
    tc.rows[4] = 16;  tc.colsb[4] = 64;
    tc.rows[5] = 16;  tc.colsb[5] = 64;
    tc.rows[6] = 16;  tc.colsb[6] = 64;
    tc.rows[7] = 16;  tc.colsb[7] = 64;

    _tile_loadconfig(&tc);
    done = true;
}

// b arrives as [N][K] and is packed in fours, as the instruction wants it.
__attribute__((noinline)) void product(const int8_t *a, const int8_t *b, int32_t *c) {
    alignas(64) int8_t packed[K / 4 * N * 4];
    alignas(64) int32_t sums[M * N];
    for (int k = 0; k < K; ++k) {
        for (int n = 0; n < N; ++n) {
            packed[k / 4 * N * 4 + n * 4 + k % 4] = b[n * K + k];
        }
    }
    configure();
    _tile_zero(4);
    _tile_loadd(0, packed, N * 4);
    _tile_loadd(2, a, K);
    _tile_dpbssd(4, 2, 0);
    _tile_stored(4, sums, N * 4);
    memcpy(c, sums, sizeof(sums));
}

bool is_right(int seed) {
    int8_t a[M * K], b[N * K];
    int32_t c[M * N];
    for (int i = 0; i < M * K; ++i) {
        a[i] = int8_t(i * 37 + seed);
        b[i] = int8_t(i * 91 - seed);
    }
    product(a, b, c);
    for (int m = 0; m < M; ++m) {
        for (int n = 0; n < N; ++n) {
            int32_t expected = 0;
            for (int k = 0; k < K; ++k) {
                expected += int32_t(a[m * K + k]) * b[n * K + k];
            }
            if (c[m * N + n] != expected) {
                return false;
            }
        }
    }
    return true;
}

}  // namespace

int main() {
    // ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA: Linux gives tiles to those who ask.
    if (syscall(SYS_arch_prctl, 0x1023, 18)) {
        return 2;
    }
    int wrong = 0;
#pragma omp parallel for reduction(+ : wrong)
    for (int seed = 0; seed < 64; ++seed) {
        wrong += !is_right(seed);
    }
    return wrong ? 1 : 0;
}
