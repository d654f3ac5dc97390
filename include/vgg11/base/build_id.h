/* Which build of the program this is. */
#ifndef VGG11_BASE_BUILD_ID_H
#define VGG11_BASE_BUILD_ID_H

enum { BUILD_ID_MAX = 48 };

/* The linker's digest of the running program in hexadecimal digits: another source, compiler or option gives another one, the
 * same give the same. "unknown" if the linker left none. */
void build_id(char text[BUILD_ID_MAX]);

#endif
