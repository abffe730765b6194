// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselscope: the window on a running test VM, or on an embedded machine that has just taken the tour. With --render
// the same window is drawn off-screen, saved as a picture, and the program ends.
#include <QApplication>
#include <QCommandLineParser>
#include <QFontDatabase>
#include <QTimer>
#include <cstdio>

#include "engine/session/tour.hpp"
#include "engine/sim/embedded_target.hpp"
#include "gui/open_vm.hpp"
#include "gui/window/main_window.hpp"

namespace morsel::gui {
namespace {

using session::Exit;
using session::Failure;

struct Arguments {
  bool embedded = false;
  QString vm;
  QString picture;  // empty: an ordinary window
  QSize size{1400, 980};
  WindowOptions window;
};

// The embedded machine has no other door than this process, so somebody must put something in.
std::unique_ptr<session::Target> openEmbedded()
{
  auto target = sim::make_embedded_target();
  session::run_tour(*target, {.keep = true});
  return target;
}

QSize parseSize(const QString& text)
{
  const QStringList parts = text.split(QLatin1Char('x'));
  const QSize size = parts.size() == 2 ? QSize(parts[0].toInt(), parts[1].toInt()) : QSize();
  if (size.width() < 400 || size.height() < 300 || size.width() > 16384 || size.height() > 16384)
    throw Failure(Exit::usage, "read --size", "\"" + text.toStdString() + "\" is no picture size",
                  "Write it as 1400x940, at least 400x300.");
  return size;
}

Arguments parseArguments(const QStringList& words)
{
  QCommandLineParser parser;
  parser.setApplicationDescription(
      QStringLiteral("Primary and secondary views of virtual-memory objects, side by side."));
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addOptions({{"embedded", "Show an embedded machine that has taken the tour; needs no VM."},
                     {"vm", "Show the running test VM of this name.", "name"},
                     {"object", "Choose this object first.", "name"},
                     {"dark", "Dark theme."},
                     {"light", "Light theme."},
                     {"render", "Draw the window off-screen into this PNG file and end.", "file"},
                     {"size", "Size of the picture; default 1400x980.", "WxH"}});
  parser.process(words);
  if (!parser.positionalArguments().isEmpty())
    throw Failure(Exit::usage, "read the command line",
                  "\"" + parser.positionalArguments().first().toStdString() + "\" is no option",
                  "morselscope --help lists them.");
  Arguments a;
  a.embedded = parser.isSet("embedded");
  a.vm = parser.value("vm");
  a.picture = parser.value("render");
  if (parser.isSet("size")) a.size = parseSize(parser.value("size"));
  a.window.object = parser.value("object");
  if (parser.isSet("dark")) a.window.theme = Theme::dark;
  if (parser.isSet("light")) a.window.theme = Theme::light;
  if (!a.picture.isEmpty()) {
    a.window.remember = Remember::nothing;
    if (!a.window.theme) a.window.theme = Theme::light;
  }
  if (a.embedded && !a.vm.isEmpty())
    throw Failure(Exit::usage, "read the command line", "--embedded and --vm exclude each other");
  return a;
}

// Saves the picture as soon as a reading is on the screen; exit codes as morselctl's.
int render(MainWindow& window, const Arguments& a)
{
  int result = static_cast<int>(Exit::target_lost);
  const auto save = [&] {
    if (!a.window.object.isEmpty() && window.windowTitle().section(" ", 0, 0) != a.window.object) {
      std::fprintf(stderr, "render the window: there is no object \"%s\"\n", qPrintable(a.window.object));
      result = static_cast<int>(Exit::usage);
    } else if (window.grab().save(a.picture, "PNG")) {
      result = static_cast<int>(Exit::done);
    } else {
      std::fprintf(stderr, "render the window: %s cannot be written\n", qPrintable(a.picture));
      result = static_cast<int>(Exit::check_failed);
    }
    QApplication::exit(result);
  };
  // Queued behind the layout requests that the reading has posted.
  QObject::connect(&window, &MainWindow::readingShown, &window, save, Qt::QueuedConnection);
  QObject::connect(&window, &MainWindow::openFailed, &window, [&result](const QString& text, Exit code) {
    std::fprintf(stderr, "%s\n", qPrintable(text));
    result = static_cast<int>(code);
    QApplication::exit(result);
  });
  window.resize(a.size);
  window.show();
  window.start();
  QApplication::exec();
  return result;
}

int run(int argc, char** argv)
{
  bool rendering = false;
  for (int n = 1; n < argc; ++n) rendering = rendering || QByteArray(argv[n]).startsWith("--render");
  const bool display = qEnvironmentVariableIsSet("DISPLAY") || qEnvironmentVariableIsSet("WAYLAND_DISPLAY");
  if (!qEnvironmentVariableIsSet("QT_QPA_PLATFORM")) {
    if (rendering)
      qputenv("QT_QPA_PLATFORM", "offscreen");
    else if (!display && argc > 1 && QByteArray(argv[1]) != "--help" && QByteArray(argv[1]) != "--version")
      throw Failure(Exit::skipped, "open the window", "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)",
                    "morselscope --render FILE.png draws the same window into a picture.");
  }
  QApplication application(argc, argv);
  QApplication::setApplicationName(QStringLiteral("morselscope"));
  QApplication::setOrganizationName(QStringLiteral("morselscope"));
  QApplication::setApplicationVersion(QStringLiteral(MORSEL_VERSION));
  const Arguments a = parseArguments(QApplication::arguments());
  if (!QFontDatabase::hasFamily(QStringLiteral("DejaVu Sans Mono")))
    throw Failure(Exit::skipped, "open the window", "the font DejaVu Sans Mono is not installed",
                  "apt install fonts-dejavu-core fontconfig");
  MainWindow window(a.embedded ? TargetFactory(openEmbedded) : openVm(a.vm), a.window);
  QApplication::setWindowIcon(QIcon(QStringLiteral(":/morselscope/icons/morselscope.svg")));
  if (!a.picture.isEmpty()) return render(window, a);
  window.show();
  window.start();
  return QApplication::exec();
}

}  // namespace
}  // namespace morsel::gui

int main(int argc, char** argv)
{
  try {
    return morsel::gui::run(argc, argv);
  } catch (const morsel::session::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
