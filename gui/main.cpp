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
                  "Write it as 1400x980, at least 400x300.");
  return size;
}

void addOptions(QCommandLineParser& parser)
{
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
}

// Help and version are printed here, and end the program.
Arguments parseArguments(const QStringList& words)
{
  const std::string tried = "read the command line", help = "morselscope --help lists the options.";
  QCommandLineParser parser;
  addOptions(parser);
  if (!parser.parse(words)) throw Failure(Exit::usage, tried, parser.errorText().toStdString(), help);
  if (parser.isSet("help")) parser.showHelp();
  if (parser.isSet("version")) parser.showVersion();
  if (!parser.positionalArguments().isEmpty())
    throw Failure(Exit::usage, tried, "\"" + parser.positionalArguments().first().toStdString() + "\" is no option",
                  help);
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
  if (a.embedded && !a.vm.isEmpty()) throw Failure(Exit::usage, tried, "--embedded and --vm exclude each other", help);
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

void nameProgram()
{
  QCoreApplication::setApplicationName(QStringLiteral("morselscope"));
  QCoreApplication::setOrganizationName(QStringLiteral("morselscope"));
  QCoreApplication::setApplicationVersion(QStringLiteral(MORSEL_VERSION));
}

// The command line is read without a display, so that help and wrong options need none.
Arguments readArguments(int argc, char** argv)
{
  const QCoreApplication application(argc, argv);
  nameProgram();
  return parseArguments(QCoreApplication::arguments());
}

void choosePlatform(const Arguments& a)
{
  if (!a.picture.isEmpty()) {
    // The off-screen platform warns of what no picture needs (size hints, a runtime folder).
    qInstallMessageHandler([](QtMsgType type, const QMessageLogContext&, const QString& text) {
      if (type != QtDebugMsg && type != QtInfoMsg && type != QtWarningMsg)
        std::fprintf(stderr, "%s\n", qPrintable(text));
    });
    if (!qEnvironmentVariableIsSet("QT_QPA_PLATFORM")) qputenv("QT_QPA_PLATFORM", "offscreen");
    return;
  }
  const bool display = !qgetenv("DISPLAY").isEmpty() || !qgetenv("WAYLAND_DISPLAY").isEmpty();
  if (!display && !qEnvironmentVariableIsSet("QT_QPA_PLATFORM"))
    throw Failure(Exit::skipped, "open the window", "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)",
                  "morselscope --render FILE.png draws the same window into a picture.");
}

int run(int argc, char** argv)
{
  const Arguments a = readArguments(argc, argv);
  choosePlatform(a);
  const QApplication application(argc, argv);
  nameProgram();
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
