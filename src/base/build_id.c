#include "vgg11/base/build_id.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t padded(size_t bytes) { return (bytes + 3) / 4 * 4; }

static void write_digits(const uint8_t *bytes, size_t count, char text[BUILD_ID_MAX])
{
    for (size_t i = 0; i < count && 2 * i + 2 < BUILD_ID_MAX; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

/* Notes lie one after the other: a header, a name and what it is about, each padded to whole words. */
static bool search_notes(const uint8_t *notes, size_t bytes, char text[BUILD_ID_MAX])
{
    static const char owner[] = "GNU";
    ElfW(Nhdr) header;
    for (size_t at = 0; at + sizeof header <= bytes; at += sizeof header + padded(header.n_namesz) + padded(header.n_descsz)) {
        memcpy(&header, notes + at, sizeof header);
        const uint8_t *name = notes + at + sizeof header;
        bool right = header.n_type == NT_GNU_BUILD_ID && header.n_namesz == sizeof owner && memcmp(name, owner, sizeof owner) == 0;
        if (right) write_digits(name + padded(header.n_namesz), header.n_descsz, text);
        if (right) return true;
    }
    return false;
}

/* Called for the program first, before its libraries, whose notes do not count. */
static int search_program(struct dl_phdr_info *info, size_t size, void *text)
{
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_NOTE) continue;
        if (search_notes((const uint8_t *)(uintptr_t)(info->dlpi_addr + part->p_vaddr), part->p_memsz, text)) break;
    }
    return 1;
}

void build_id(char text[BUILD_ID_MAX])
{
    snprintf(text, BUILD_ID_MAX, "unknown");
    dl_iterate_phdr(search_program, text);
}
