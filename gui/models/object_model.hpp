// SPDX-License-Identifier: GPL-2.0-or-later
//
// The objects of the target, by name. A refresh keeps the rows (and with them the selection) of objects that stay.
#pragma once
#include <QAbstractListModel>
#include <vector>

#include "engine/session/target.hpp"

namespace morsel::gui {

class ObjectModel : public QAbstractListModel {
  Q_OBJECT

 public:
  enum Role { name_role = Qt::UserRole, summary_role };

  explicit ObjectModel(QObject* parent = nullptr);

  void setObjects(std::vector<session::ObjectState> objects);
  const session::ObjectState& object(int row) const { return objects_[static_cast<std::size_t>(row)]; }
  // -1: there is none of that name.
  int rowOfName(const QString& name) const;

  int rowCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;

 private:
  std::vector<session::ObjectState> objects_;  // ascending by name
};

// "64 MiB, root level 1, 2 views, attached 1 time"
QString objectSummary(const session::ObjectState& object);

}  // namespace morsel::gui
