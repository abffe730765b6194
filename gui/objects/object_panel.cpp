// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/objects/object_panel.hpp"

#include <QPainter>
#include <QStyledItemDelegate>

#include "gui/look/theme.hpp"

namespace morsel::gui {
namespace {

class ObjectDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

  QSize sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const override { return {180, 46}; }

  void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override
  {
    QPainter& p = *painter;
    p.save();
    const bool selected = option.state & QStyle::State_Selected;
    if (selected) {
      p.fillRect(option.rect, colors().accent_soft);
      p.fillRect(QRect(option.rect.left(), option.rect.top(), 3, option.rect.height()), colors().accent);
    }
    const QRect text = option.rect.adjusted(12, 5, -8, -5);
    QFont font = textFont();
    font.setBold(selected);
    p.setFont(font);
    p.setPen(colors().text);
    const QString name = index.data(ObjectModel::name_role).toString();
    p.drawText(text, Qt::AlignTop | Qt::AlignLeft, p.fontMetrics().elidedText(name, Qt::ElideMiddle, text.width()));
    p.setFont(smallFont());
    p.setPen(colors().muted);
    p.drawText(text, Qt::AlignBottom | Qt::AlignLeft, index.data(ObjectModel::summary_role).toString());
    p.restore();
  }
};

}  // namespace

ObjectPanel::ObjectPanel(QWidget* parent) : QListView(parent), model_(new ObjectModel(this))
{
  setObjectName(QStringLiteral("object_list"));
  setModel(model_);
  setItemDelegate(new ObjectDelegate(this));
  setUniformItemSizes(true);
  setEditTriggers(NoEditTriggers);
  connect(selectionModel(), &QItemSelectionModel::currentChanged, this, &ObjectPanel::tell);
}

void ObjectPanel::tell()
{
  const QString now = chosen();
  if (now == told_) return;
  told_ = now;
  emit objectChosen(now);
}

QString ObjectPanel::chosen() const { return currentIndex().data(ObjectModel::name_role).toString(); }

bool ObjectPanel::choose(const QString& name)
{
  const int row = model_->rowOfName(name);
  if (row < 0) return false;
  setCurrentIndex(model_->index(row));
  return true;
}

void ObjectPanel::setObjects(std::vector<session::ObjectState> objects, const QString& preferred)
{
  const QString before = chosen();
  model_->setObjects(std::move(objects));
  if (!choose(before) && !choose(preferred) && model_->rowCount() > 0) setCurrentIndex(model_->index(0));
  tell();
  viewport()->update();
}

void ObjectPanel::paintEvent(QPaintEvent* event)
{
  QListView::paintEvent(event);
  if (model_->rowCount() > 0) return;
  QPainter p(viewport());
  p.setPen(colors().muted);
  p.drawText(viewport()->rect().adjusted(12, 12, -12, -12), Qt::AlignTop | Qt::AlignLeft | Qt::TextWordWrap,
             QStringLiteral("No objects yet."));
}

}  // namespace morsel::gui
