// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/object_model.hpp"

#include <algorithm>

#include "gui/models/text.hpp"

namespace morsel::gui {
namespace {

using session::ObjectState;

QString counted(u64 n, const char* one, const char* many)
{
  return QStringLiteral("%1 %2").arg(n).arg(QLatin1String(n == 1 ? one : many));
}

QString toolTip(const ObjectState& o)
{
  QString text = objectSummary(o);
  text += QStringLiteral("\n%1, %2").arg(counted(o.tables, "table", "tables"), counted(o.frames, "frame", "frames"));
  for (const session::ViewState& v : o.views) {
    const FormatInfo* format = find_format(v.format);
    text += QStringLiteral("\nview %1: %2").arg(v.number).arg(format ? fromView(format->title) : QString());
  }
  return text;
}

}  // namespace

QString objectSummary(const ObjectState& o)
{
  QStringList parts{sizeText(o.bytes), counted(o.views.size(), "view", "views")};
  if (o.attached) parts << QStringLiteral("attached %1×").arg(o.attached);
  return parts.join(QStringLiteral(" · "));
}

ObjectModel::ObjectModel(QObject* parent) : QAbstractListModel(parent) {}

void ObjectModel::setObjects(std::vector<ObjectState> objects)
{
  std::ranges::sort(objects, {}, &ObjectState::name);
  for (int row = static_cast<int>(objects_.size()) - 1; row >= 0; --row) {
    if (std::ranges::binary_search(objects, object(row).name, {}, &ObjectState::name)) continue;
    beginRemoveRows({}, row, row);
    objects_.erase(objects_.begin() + row);
    endRemoveRows();
  }
  for (int row = 0; row < static_cast<int>(objects.size()); ++row) {
    ObjectState& now = objects[static_cast<std::size_t>(row)];
    if (row < static_cast<int>(objects_.size()) && object(row).name == now.name) {
      objects_[static_cast<std::size_t>(row)] = std::move(now);
      continue;
    }
    beginInsertRows({}, row, row);
    objects_.insert(objects_.begin() + row, std::move(now));
    endInsertRows();
  }
  if (!objects_.empty()) emit dataChanged(index(0), index(static_cast<int>(objects_.size()) - 1));
}

int ObjectModel::rowOfName(const QString& name) const
{
  const auto found = std::ranges::find(objects_, name.toStdString(), &ObjectState::name);
  return found == objects_.end() ? -1 : static_cast<int>(found - objects_.begin());
}

int ObjectModel::rowCount(const QModelIndex& parent) const
{
  return parent.isValid() ? 0 : static_cast<int>(objects_.size());
}

QVariant ObjectModel::data(const QModelIndex& index, int role) const
{
  if (!index.isValid()) return {};
  const ObjectState& o = object(index.row());
  switch (role) {
    case Qt::DisplayRole:
    case name_role: return QString::fromStdString(o.name);
    case summary_role: return objectSummary(o);
    case Qt::ToolTipRole: return toolTip(o);
    default: return {};
  }
}

}  // namespace morsel::gui
