/* A command line, a word a line. What it accepts it can write as JSON. */
#include <stdlib.h>
#include <string.h>

#include "app/options/options.h"
#include "fuzz/fuzz.h"

enum { WORDS_MAX = 32 };

/* Files that it names are real ones, of which some never end. */
static int names_file(const char *word) { return strncmp(word, "--c", 3) == 0; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "vgg11_dist";
    char *text = fuzz_text(data, size), *rest = text, *words[WORDS_MAX + 1] = {program};
    int count = 1;
    for (char *word; count < WORDS_MAX && (word = strsep(&rest, "\n"));) {
        if (!names_file(word)) words[count++] = word;
    }
    options o;
    if (options_parse(count, words, &o) == VGG_OK) free(options_json(&o, SCOPE_CALL));
    options_clear(&o);
    free(text);
    return 0;
}
