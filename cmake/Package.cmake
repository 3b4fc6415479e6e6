# What a machine is given: the program, its manual and completions (both made by it), and systemd's units; and cpack's Debian package of that.
include(GNUInstallDirs)
set(made ${CMAKE_BINARY_DIR}/package)
file(MAKE_DIRECTORY ${made})
add_custom_command(OUTPUT ${made}/podlab.1.gz ${made}/podlab ${made}/_podlab ${made}/podlab.fish
                   COMMAND podlab man | gzip -9n > podlab.1.gz
                   COMMAND podlab completion bash > podlab
                   COMMAND podlab completion zsh > _podlab
                   COMMAND podlab completion fish > podlab.fish
                   DEPENDS podlab WORKING_DIRECTORY ${made} VERBATIM)
add_custom_target(package_files ALL DEPENDS ${made}/podlab.1.gz)

install(TARGETS podlab RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${made}/podlab.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${made}/podlab DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${made}/_podlab DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${made}/podlab.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES configs/machines/podlab-server.service configs/machines/podlab-agent.service DESTINATION lib/systemd/system)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The podlab authors <authors@podlab.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "real multi-node pod clusters on one machine or many")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS crun)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "skopeo, umoci, uidmap")
include(CPack)
