// SPDX-License-Identifier: GPL-2.0-or-later
//
// The window: objects on the left, the chosen one's trees aligned in the middle with a map strip per view above, the
// chosen entry decoded below. It shows what LiveSource reads in its own thread and never waits for the target.
#pragma once
#include <QMainWindow>
#include <QThread>
#include <optional>

#include "gui/look/theme.hpp"
#include "gui/models/live_source.hpp"

class QAction;
class QActionGroup;
class QLabel;
class QLineEdit;

namespace morsel::gui {

class AlignedView;
class EntryPanel;
class MapPanel;
class ObjectPanel;

enum class Remember : u8 { layout, nothing };  // between two runs

struct WindowOptions {
  QString object;              // chosen first, if it is there
  std::optional<Theme> theme;  // empty: as remembered, else as the desktop
  Remember remember = Remember::layout;
};

class MainWindow : public QMainWindow {
  Q_OBJECT

 public:
  MainWindow(TargetFactory open, WindowOptions options, QWidget* parent = nullptr);
  ~MainWindow() override;

  // Opens the target, in the source's thread.
  void start();
  TreeModel* tree() const { return tree_; }
  AlignedView* treeView() const { return tree_view_; }
  EntryPanel* entryPanel() const { return entry_; }
  MapPanel* mapPanel() const { return map_; }
  ObjectPanel* objectPanel() const { return objects_; }

  void goToNextDifference();
  void goToPreviousDifference();
  bool goToOffset(const QString& text);
  void setTheme(Theme theme);
  void resetLayout();

 signals:
  // A reading is on the screen: of an object, or of a target without objects.
  void readingShown();
  void openFailed(const QString& text, morsel::session::Exit code);

 protected:
  void closeEvent(QCloseEvent* event) override;

 private:
  void makeCentre();
  void makeDocks();
  void makeActions();
  void makeMenus();
  void makeToolBar();
  void makeStatusBar();
  void connectSource();
  void connectWidgets();
  QAction* makeAction(const QString& icon, const QString& text, const QString& key, void (MainWindow::*what)());
  void recolour();
  void recall();

  void onTargetOpened(const session::TargetInfo& info);
  void onObjectsRead(const ObjectList& objects);
  void onTreeRead(const AlignedTreePtr& tree, qint64 taken_ms);
  void onFailed(const QString& tried, const QString& found, const QString& advice, session::Exit code);
  void onTargetLost(const QString& why);
  void showLive(qint64 taken_ms);
  void showBanner(const QString& text);
  void showEntry(const QModelIndex& index);
  void showHover(const QString& text);
  void updateDifferences();
  void updateEmptyText();
  void chooseFirstEntry();
  void goTo(u64 offset, int column);
  void copyEntry();
  void focusGoTo();
  void refresh();
  void toggleEmptyRuns();
  void showKeys();
  QString describe(const QModelIndex& index) const;
  QString anomalyText() const;

  WindowOptions options_;
  QThread thread_;
  LiveSource* source_;
  TreeModel* tree_;
  AlignedView* tree_view_ = nullptr;
  MapPanel* map_ = nullptr;
  ObjectPanel* objects_ = nullptr;
  EntryPanel* entry_ = nullptr;
  QLabel *banner_ = nullptr, *summary_ = nullptr, *hover_ = nullptr, *target_ = nullptr, *live_ = nullptr;
  QLineEdit* go_to_ = nullptr;
  QAction *refresh_action_ = nullptr, *next_action_ = nullptr, *previous_action_ = nullptr, *copy_action_ = nullptr,
          *go_to_action_ = nullptr, *fold_action_ = nullptr, *reset_action_ = nullptr, *keys_action_ = nullptr;
  QActionGroup* themes_ = nullptr;
  QByteArray first_layout_;
  QString failure_, chosen_text_, target_name_;
  bool opened_ = false;
};

}  // namespace morsel::gui
