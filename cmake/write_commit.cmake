# cmake -DSOURCE=<folder> -DOUTPUT=<header> -P write_commit.cmake
# The commit that is built, with "+" where files differ from it; empty where the sources are not a git repository of their own. The header is
# only written where it changes, so that nothing is compiled again for it.
find_program(GIT git)
set(VGG11_COMMIT "")
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --show-prefix --short=12 HEAD
                  OUTPUT_VARIABLE found RESULT_VARIABLE failed ERROR_QUIET)
  # The first line is empty in the repository's own top folder, and names the way to a folder that another repository holds.
  if(NOT failed AND found MATCHES "^\n([0-9a-f]+)\n$")
    set(VGG11_COMMIT ${CMAKE_MATCH_1})
    execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain --untracked-files=no OUTPUT_VARIABLE changed ERROR_QUIET)
    if(changed)
      string(APPEND VGG11_COMMIT "+")
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
/* Private to app: the commit that was built, with "+" where files differ from it; "" if it is not known. Made by the build. */
#define VGG11_COMMIT "@VGG11_COMMIT@"
]] @ONLY)
