/* The table of all convolution and dense algorithms. A new one is a file that exports a conv_algorithm, and a row here. */
#include "vgg11/conv/conv.h"

#include <string.h>

const char *const conv_pass_names[CONV_PASSES] = {"forward", "input gradient", "weight gradient"};

#ifdef VGG11_HAVE_ONEDNN
#define WITH_ONEDNN(row) row
#else
#define WITH_ONEDNN(row)
#endif

#ifdef __x86_64__
#define WITH_X86(row) row
#else
#define WITH_X86(row)
#endif

/* X(exported variable): those that are usually fastest first, the reference last; `expected` moves a row to the front for a
 * problem. */
#define CONV_ALGORITHM_LIST(X)        \
    WITH_X86(X(conv_direct_bf16_amx)) \
    WITH_X86(X(conv_direct_bf16))     \
    WITH_ONEDNN(X(conv_onednn_bf16))  \
    X(conv_winograd_bf16)             \
    X(conv_emulated_bf16)             \
    X(conv_direct_1ch)                \
    X(conv_winograd_2x2)              \
    X(conv_winograd)                  \
    X(conv_direct)                    \
    X(conv_im2col)                    \
    X(conv_blas)                      \
    X(conv_reference)

#define DECLARE(variable) extern const conv_algorithm variable;
CONV_ALGORITHM_LIST(DECLARE)

#define ROW(variable) &variable,
const conv_algorithm *const conv_algorithms[] = {CONV_ALGORITHM_LIST(ROW) NULL};

const conv_algorithm *conv_algorithm_find(const char *name)
{
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        bool formerly = (*row)->former_name && strcmp((*row)->former_name, name) == 0;
        if (formerly || strcmp((*row)->name, name) == 0) return *row;
    }
    return NULL;
}
