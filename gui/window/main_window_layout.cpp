// SPDX-License-Identifier: GPL-2.0-or-later
//
// How the window is put together: widgets, actions, themes, what is remembered.
#include <QActionGroup>
#include <QCloseEvent>
#include <QDockWidget>
#include <QLabel>
#include <QLineEdit>
#include <QMenuBar>
#include <QMessageBox>
#include <QSettings>
#include <QStatusBar>
#include <QToolBar>
#include <QVBoxLayout>

#include "gui/entry/entry_panel.hpp"
#include "gui/look/legend.hpp"
#include "gui/map/map_panel.hpp"
#include "gui/models/text.hpp"
#include "gui/objects/object_panel.hpp"
#include "gui/tree/aligned_view.hpp"
#include "gui/window/main_window.hpp"

namespace morsel::gui {
namespace {

// Raised when docks or tool bars change, so that an old layout is not forced on a new window.
constexpr int layout_version = 1;

constexpr const char* theme_names[] = {"light", "dark", "system"};

Theme themeOf(const QString& name)
{
  if (name == QLatin1String(theme_names[0])) return Theme::light;
  if (name == QLatin1String(theme_names[1])) return Theme::dark;
  return desktopTheme();
}

QWidget* spacer(QWidget* parent)
{
  auto* widget = new QWidget(parent);
  widget->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
  return widget;
}

}  // namespace

MainWindow::MainWindow(TargetFactory open, WindowOptions options, QWidget* parent)
    : QMainWindow(parent),
      options_(std::move(options)),
      source_(new LiveSource(std::move(open))),
      tree_(new TreeModel(this))
{
  setObjectName(QStringLiteral("morselscope"));
  setWindowTitle(QStringLiteral("Morselscope"));
  resize(1400, 980);
  makeCentre();
  makeDocks();
  makeStatusBar();
  makeActions();
  makeMenus();
  makeToolBar();
  first_layout_ = saveState(layout_version);
  recall();
  connectWidgets();
  connectSource();
  updateEmptyText();
  updateDifferences();
  showEntry({});
  tree_view_->setFocus();
}

MainWindow::~MainWindow()
{
  thread_.quit();
  thread_.wait();
}

void MainWindow::makeCentre()
{
  auto* centre = new QWidget(this);
  banner_ = new QLabel(centre);
  banner_->setObjectName(QStringLiteral("banner"));
  banner_->setWordWrap(true);
  banner_->setMargin(8);
  banner_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  banner_->hide();
  map_ = new MapPanel(centre);
  map_->hide();
  tree_view_ = new AlignedView(tree_, centre);
  auto* layout = new QVBoxLayout(centre);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addWidget(banner_);
  layout->addWidget(map_);
  layout->addWidget(tree_view_, 1);
  layout->addWidget(new Legend(centre));
  setCentralWidget(centre);
}

void MainWindow::makeDocks()
{
  objects_ = new ObjectPanel(this);
  auto* left = new QDockWidget(QStringLiteral("Objects"), this);
  left->setObjectName(QStringLiteral("objects_dock"));
  left->setWidget(objects_);
  addDockWidget(Qt::LeftDockWidgetArea, left);

  entry_ = new EntryPanel(this);
  auto* bottom = new QDockWidget(QStringLiteral("Entry"), this);
  bottom->setObjectName(QStringLiteral("entry_dock"));
  bottom->setWidget(entry_);
  addDockWidget(Qt::BottomDockWidgetArea, bottom);
  resizeDocks({left}, {210}, Qt::Horizontal);
  resizeDocks({bottom}, {400}, Qt::Vertical);
}

QAction* MainWindow::makeAction(const QString& icon, const QString& text, const QString& key,
                                void (MainWindow::*what)())
{
  auto* action = new QAction(text, this);
  action->setShortcut(QKeySequence(key));
  action->setProperty("icon_name", icon);
  action->setToolTip(QStringLiteral("%1 (%2)").arg(text, key));
  connect(action, &QAction::triggered, this, what);
  addAction(action);
  return action;
}

void MainWindow::makeActions()
{
  refresh_action_ = makeAction("refresh", "Refresh", "F5", &MainWindow::refresh);
  next_action_ = makeAction("next", "Next difference", "F8", &MainWindow::goToNextDifference);
  previous_action_ = makeAction("previous", "Previous difference", "Shift+F8", &MainWindow::goToPreviousDifference);
  go_to_action_ = makeAction("go_to", "Go to offset", "Ctrl+G", &MainWindow::focusGoTo);
  copy_action_ = makeAction("copy", "Copy entry as hex", "Ctrl+C", &MainWindow::copyEntry);
  fold_action_ = makeAction("fold", "Fold empty entries", "Ctrl+E", &MainWindow::toggleEmptyRuns);
  fold_action_->setCheckable(true);
  fold_action_->setChecked(true);
  reset_action_ = makeAction("reset", "Reset layout", "Ctrl+Shift+R", &MainWindow::resetLayout);
  keys_action_ = makeAction("help", "Keys", "F1", &MainWindow::showKeys);
}

void MainWindow::makeMenus()
{
  QMenu* file = menuBar()->addMenu(QStringLiteral("&Target"));
  file->addAction(refresh_action_);
  file->addSeparator();
  file->addAction(QStringLiteral("&Quit"), QKeySequence(QStringLiteral("Ctrl+Q")), this, &QWidget::close);

  QMenu* edit = menuBar()->addMenu(QStringLiteral("&Entry"));
  edit->addActions({copy_action_, go_to_action_, previous_action_, next_action_});

  QMenu* view = menuBar()->addMenu(QStringLiteral("&View"));
  themes_ = new QActionGroup(this);
  for (const char* name : theme_names) {
    QAction* action = themes_->addAction(QString::fromLatin1(name).replace(0, 1, QChar(name[0]).toUpper()));
    action->setData(QString::fromLatin1(name));
    action->setCheckable(true);
  }
  themes_->actions().last()->setChecked(true);
  view->addActions(themes_->actions());
  view->addSeparator();
  view->addAction(fold_action_);
  view->addSeparator();
  for (auto* dock : findChildren<QDockWidget*>()) view->addAction(dock->toggleViewAction());
  view->addAction(reset_action_);

  menuBar()->addMenu(QStringLiteral("&Help"))->addAction(keys_action_);
}

void MainWindow::makeToolBar()
{
  QToolBar* bar = addToolBar(QStringLiteral("Tools"));
  bar->setObjectName(QStringLiteral("tools"));
  bar->setMovable(false);
  bar->setIconSize({18, 18});
  bar->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
  bar->addActions({refresh_action_, previous_action_, next_action_});
  bar->addSeparator();
  go_to_ = new QLineEdit(bar);
  go_to_->setObjectName(QStringLiteral("go_to"));
  go_to_->setPlaceholderText(QStringLiteral("Go to offset: 0x1f000, 2M  (Ctrl+G)"));
  go_to_->setFixedWidth(290);
  bar->addWidget(go_to_);
  bar->addWidget(spacer(bar));
  summary_ = new QLabel(bar);
  summary_->setObjectName(QStringLiteral("summary"));
  summary_->setContentsMargins(0, 0, 8, 0);
  bar->addWidget(summary_);
}

void MainWindow::makeStatusBar()
{
  hover_ = new QLabel(this);
  target_ = new QLabel(this);
  live_ = new QLabel(QStringLiteral("opening …"), this);
  hover_->setObjectName(QStringLiteral("hover"));
  target_->setObjectName(QStringLiteral("target"));
  live_->setObjectName(QStringLiteral("live"));
  hover_->setTextFormat(Qt::PlainText);
  hover_->setMinimumWidth(200);
  hover_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  target_->setTextFormat(Qt::PlainText);
  statusBar()->setContentsMargins(8, 0, 8, 0);
  statusBar()->setSizeGripEnabled(false);
  statusBar()->addWidget(hover_, 1);
  statusBar()->addPermanentWidget(target_);
  statusBar()->addPermanentWidget(live_);
}

void MainWindow::connectWidgets()
{
  connect(tree_view_, &AlignedView::entryChosen, this, &MainWindow::showEntry);
  connect(tree_view_, &AlignedView::entryHovered, this,
          [this](const QModelIndex& index) { showHover(describe(index)); });
  connect(map_, &MapPanel::offsetClicked, this, &MainWindow::goTo);
  connect(map_, &MapPanel::hovered, this, &MainWindow::showHover);
  connect(entry_, &EntryPanel::hovered, this, &MainWindow::showHover);
  connect(go_to_, &QLineEdit::returnPressed, this, [this] { goToOffset(go_to_->text()); });
  connect(go_to_, &QLineEdit::textChanged, this, [this](const QString& text) {
    const bool bad = !text.isEmpty() && !parseOffset(text);
    QPalette palette = go_to_->parentWidget()->palette();
    if (bad) palette.setColor(QPalette::Text, colors().bad);
    go_to_->setPalette(palette);
    showHover(bad ? QStringLiteral("Write an offset as 0x1f000, 126976, 124K or 2M.") : QString());
  });
  connect(themes_, &QActionGroup::triggered, this,
          [this](QAction* chosen) { setTheme(themeOf(chosen->data().toString())); });
}

void MainWindow::connectSource()
{
  connect(objects_, &ObjectPanel::objectChosen, source_, &LiveSource::choose);
  connect(source_, &LiveSource::targetOpened, this, &MainWindow::onTargetOpened);
  connect(source_, &LiveSource::objectsRead, this, &MainWindow::onObjectsRead);
  connect(source_, &LiveSource::treeRead, this, &MainWindow::onTreeRead);
  connect(source_, &LiveSource::readUnchanged, this, &MainWindow::showLive);
  connect(source_, &LiveSource::failed, this, &MainWindow::onFailed);
  connect(source_, &LiveSource::targetLost, this, &MainWindow::onTargetLost);
  connect(&thread_, &QThread::finished, source_, &QObject::deleteLater);
  source_->moveToThread(&thread_);
  thread_.setObjectName(QStringLiteral("live source"));
  thread_.start();
}

void MainWindow::setTheme(Theme theme)
{
  applyTheme(theme);
  recolour();
}

void MainWindow::recolour()
{
  for (QAction* action : findChildren<QAction*>()) {
    const QString name = action->property("icon_name").toString();
    if (!name.isEmpty()) action->setIcon(themedIcon(name));
  }
  const QColor tint = stateFill(inspect::DiffState::stale, currentTheme());
  banner_->setStyleSheet(QStringLiteral("background: rgba(%1,%2,%3,40); border-bottom: 1px solid %4;")
                             .arg(tint.red())
                             .arg(tint.green())
                             .arg(tint.blue())
                             .arg(colors().line.name()));
  updateDifferences();
  if (tree_->tree()) map_->showTree(tree_->tree());
  for (QWidget* widget : findChildren<QWidget*>()) widget->update();
}

void MainWindow::recall()
{
  QString theme = QString::fromLatin1(theme_names[2]);
  if (options_.remember == Remember::layout) {
    const QSettings settings;
    theme = settings.value(QStringLiteral("theme"), theme).toString();
    restoreGeometry(settings.value(QStringLiteral("geometry")).toByteArray());
    restoreState(settings.value(QStringLiteral("layout")).toByteArray(), layout_version);
  }
  for (QAction* action : themes_->actions())
    if (action->data().toString() == theme) action->setChecked(true);
  setTheme(options_.theme.value_or(themeOf(theme)));
}

void MainWindow::closeEvent(QCloseEvent* event)
{
  if (options_.remember == Remember::layout) {
    QSettings settings;
    settings.setValue(QStringLiteral("geometry"), saveGeometry());
    settings.setValue(QStringLiteral("layout"), saveState(layout_version));
    if (themes_->checkedAction()) settings.setValue(QStringLiteral("theme"), themes_->checkedAction()->data());
  }
  QMainWindow::closeEvent(event);
}

void MainWindow::resetLayout()
{
  restoreState(first_layout_, layout_version);
  tree_view_->fitColumns();
}

void MainWindow::showKeys()
{
  QString rows;
  const auto row = [&rows](const QString& key, const QString& what) {
    rows += QStringLiteral("<tr><td><code>%1</code>&nbsp;&nbsp;</td><td>%2</td></tr>").arg(key, what);
  };
  for (const QAction* a : {refresh_action_, next_action_, previous_action_, go_to_action_, copy_action_, fold_action_,
                           reset_action_, keys_action_})
    row(a->shortcut().toString(QKeySequence::NativeText), a->text());
  row(QStringLiteral("↑ ↓"), QStringLiteral("previous, next row"));
  row(QStringLiteral("← →"), QStringLiteral("close, open a row; go up, go down"));
  row(QStringLiteral("Tab, Shift+Tab"), QStringLiteral("next, previous tree in the row"));
  row(QStringLiteral("*"), QStringLiteral("open all below"));
  auto* box = new QMessageBox(QMessageBox::NoIcon, QStringLiteral("Keys"),
                              QStringLiteral("<table>%1</table>").arg(rows), QMessageBox::Close, this);
  box->setAttribute(Qt::WA_DeleteOnClose);
  box->setModal(false);
  box->show();
}

}  // namespace morsel::gui
