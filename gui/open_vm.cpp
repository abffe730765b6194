// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/open_vm.hpp"

namespace morsel::gui {

TargetFactory openVm(const QString& name)
{
  return [name]() -> std::unique_ptr<session::Target> {
    throw session::Failure(session::Exit::skipped, "open the VM " + name.toStdString(), "not wired yet");
  };
}

}  // namespace morsel::gui
