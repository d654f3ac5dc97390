/* What the fuzz targets share. Each defines LLVMFuzzerTestOneInput(), which libFuzzer or replay.c calls with made-up bytes: whatever
 * they are, the parser returns a status; it does not crash, hang, leak, or read what is not its own. */
#ifndef VGG11_TESTS_FUZZ_H
#define VGG11_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of this process' temporary file, which now holds these bytes. It is removed when the process ends. */
const char *fuzz_file(const void *data, size_t size);

/* The input as a text that ends with a zero byte; the caller frees it. */
char *fuzz_text(const uint8_t *data, size_t size);

#endif
