# What `cmake --install` brings besides the program itself, whatever --prefix says, and needing no root: help, scripts, documents, data.
set(vgg_share ${CMAKE_INSTALL_DATADIR}/vgg11_dist)

# The program's own words about itself. It may be built by a batch job or under mpirun, and is no rank of theirs.
function(vgg_add_help kind file)
  add_custom_command(OUTPUT ${file} DEPENDS vgg11_dist VERBATIM
                     COMMAND ${CMAKE_COMMAND} -E env --unset=OMPI_COMM_WORLD_RANK --unset=PMIX_RANK $<TARGET_FILE:vgg11_dist> --help=${kind} > ${file})
endfunction()
set(vgg_help_files ${CMAKE_BINARY_DIR}/help/vgg11_dist.1 ${CMAKE_BINARY_DIR}/help/vgg11_dist.bash)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/help)
vgg_add_help(man ${CMAKE_BINARY_DIR}/help/vgg11_dist.1)
vgg_add_help(bash ${CMAKE_BINARY_DIR}/help/vgg11_dist.bash)
add_custom_target(vgg11_dist_help ALL DEPENDS ${vgg_help_files})
install(FILES ${CMAKE_BINARY_DIR}/help/vgg11_dist.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/help/vgg11_dist.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME vgg11_dist)

install(PROGRAMS launch/local.sh launch/scaling.sh launch/vgg11.sbatch DESTINATION ${vgg_share}/launch)
install(FILES launch/common.sh launch/scaling_results.sh DESTINATION ${vgg_share}/launch)
install(DIRECTORY data/mnist/ DESTINATION ${vgg_share}/mnist FILES_MATCHING PATTERN "*.gz")

install(FILES README.md DESIGN.md CONTRIBUTING.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES data/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/data)

# A module file names the prefix, which is known when it is installed.
set(prefix "@prefix@")
configure_file(launch/modulefile.in help/modulefile.in @ONLY)
install(CODE "
  set(prefix \"\${CMAKE_INSTALL_PREFIX}\")
  configure_file(\"${CMAKE_BINARY_DIR}/help/modulefile.in\" \"${CMAKE_BINARY_DIR}/help/modulefile\" @ONLY)
  file(INSTALL \"${CMAKE_BINARY_DIR}/help/modulefile\" RENAME \"${PROJECT_VERSION}\"
       DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/modulefiles/vgg11_dist\")
")
