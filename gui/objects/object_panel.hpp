// SPDX-License-Identifier: GPL-2.0-or-later
//
// The list of objects on the left: name, and below it size, views, attachments. Says what to do when there are none.
#pragma once
#include <QListView>

#include "gui/models/object_model.hpp"

namespace morsel::gui {

class ObjectPanel : public QListView {
  Q_OBJECT

 public:
  explicit ObjectPanel(QWidget* parent = nullptr);

  // Keeps the choice if that object is still there, else chooses `preferred`, else the first.
  void setObjects(std::vector<session::ObjectState> objects, const QString& preferred);
  QString chosen() const;
  bool choose(const QString& name);
  ObjectModel* objects() const { return model_; }

 signals:
  void objectChosen(const QString& name);  // empty: there is none

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  ObjectModel* model_;
  QString told_;
  void tell();
};

}  // namespace morsel::gui
