// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/entry/entry_panel.hpp"

#include <QHeaderView>
#include <QLabel>
#include <QPainter>
#include <QStyledItemDelegate>
#include <QTableView>
#include <QVBoxLayout>

#include "gui/entry/bit_ruler.hpp"
#include "gui/look/theme.hpp"
#include "gui/models/state_style.hpp"
#include "gui/models/text.hpp"

namespace morsel::gui {
namespace {

using session::AlignedCell;
using session::AlignedRow;
using session::AlignedTree;

QString titleOf(const AlignedTree& tree, std::size_t column) { return QString::fromStdString(tree.title(column)); }

QString placeText(const AlignedCell& cell, AlignedRow row)
{
  const Level level = std::max(cell.level, row.level);
  return QStringLiteral("level %1 entry of 0x%2 + %3")
      .arg(level)
      .arg(groupedHex(cell.level > row.level ? cell.offset : row.offset, 8), sizeText(AlignedTree::entry_bytes(level)));
}

QString explain(const AlignedTree& tree, const AlignedCell& cell, AlignedRow row, std::size_t column)
{
  QStringList parts;
  if (cell.level > row.level) parts << QStringLiteral("This entry stands further up and decides for the chosen row.");
  if (column > 0) {
    const StateStyle& style = styleOf(cell.worst);
    const QString name = stateName(cell.worst);
    parts << QStringLiteral("%1 %2: %3%4.")
                 .arg(stateSign(cell.worst), name, QString::fromUtf8(style.meaning),
                      cell.kind == EntryKind::table ? QStringLiteral(" (worst of the pages below)") : QString());
  } else if (tree.columns() == 1) {
    parts << QStringLiteral("This object has no views. Add one: morselctl view add %1 ept")
                 .arg(QString::fromStdString(tree.object().name));
  }
  return parts.join(QLatin1Char(' ')).trimmed();
}

// Fields that are set stand out from those that are zero; numbers are monospaced.
class FieldDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

  void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override
  {
    if (option.state & QStyle::State_Selected) painter->fillRect(option.rect, colors().accent_soft);
    QStyleOptionViewItem inner = option;
    inner.rect.adjust(6, 0, -6, 0);
    inner.state &= ~QStyle::State_HasFocus;
    QStyledItemDelegate::paint(painter, inner, index);
  }

 protected:
  void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override
  {
    QStyledItemDelegate::initStyleOption(option, index);
    const bool set = index.data(FieldModel::set_role).toBool();
    if (index.column() == FieldModel::bits_column || index.column() == FieldModel::value_column)
      option->font = monoFont();
    if (index.column() == FieldModel::name_column) option->font.setBold(set);
    if (!set) option->palette.setColor(QPalette::Text, colors().muted);
  }
};

}  // namespace

EntryPanel::EntryPanel(QWidget* parent)
    : QWidget(parent),
      headline_(new QLabel(this)),
      explanation_(new QLabel(this)),
      primary_ruler_(new BitRuler(BitRuler::Ticks::shown, this)),
      view_ruler_(new BitRuler(BitRuler::Ticks::hidden, this)),
      table_(new QTableView(this)),
      no_fields_(new QLabel(this)),
      fields_(new FieldModel(this))
{
  headline_->setObjectName(QStringLiteral("entry_headline"));
  headline_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  explanation_->setObjectName(QStringLiteral("entry_explanation"));
  table_->setObjectName(QStringLiteral("entry_fields"));
  headline_->setContentsMargins(10, 0, 10, 0);
  explanation_->setContentsMargins(10, 0, 10, 0);
  explanation_->setForegroundRole(QPalette::PlaceholderText);

  table_->setModel(fields_);
  table_->setItemDelegate(new FieldDelegate(this));
  table_->setShowGrid(false);
  table_->setAlternatingRowColors(true);
  table_->setSelectionBehavior(QTableView::SelectRows);
  table_->setSelectionMode(QTableView::SingleSelection);
  table_->verticalHeader()->hide();
  table_->verticalHeader()->setDefaultSectionSize(21);
  table_->horizontalHeader()->setHighlightSections(false);
  table_->horizontalHeader()->setSectionResizeMode(FieldModel::meaning_column, QHeaderView::Stretch);
  const int digit = QFontMetrics(textFont()).horizontalAdvance(QLatin1Char('0'));
  const int characters[] = {12, 9, 22, 40, 30};
  for (int c = 0; c < FieldModel::column_count; ++c) table_->setColumnWidth(c, characters[c] * digit);

  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 6, 0, 0);
  layout->setSpacing(3);
  for (QWidget* w : {static_cast<QWidget*>(headline_), static_cast<QWidget*>(explanation_),
                     static_cast<QWidget*>(primary_ruler_), static_cast<QWidget*>(view_ruler_)})
    layout->addWidget(w);
  layout->addWidget(table_, 1);
  layout->addWidget(no_fields_, 1);
  no_fields_->setAlignment(Qt::AlignCenter);
  no_fields_->setForegroundRole(QPalette::PlaceholderText);
  for (BitRuler* ruler : {primary_ruler_, view_ruler_})
    connect(ruler, &BitRuler::bitHovered, this, [this, ruler](int bit) {
      const bool chosen = ruler == (view_ruler_->isVisibleTo(this) ? view_ruler_ : primary_ruler_);
      if (chosen) pointAt(bit);
    });
  connect(table_->selectionModel(), &QItemSelectionModel::currentRowChanged, this, [this](const QModelIndex& index) {
    BitRuler* ruler = view_ruler_->isVisibleTo(this) ? view_ruler_ : primary_ruler_;
    const bool valid = index.isValid() && fields_->entry();
    ruler->setHighlight(valid ? fields_->field(index.row()).mask : 0);
  });
  showNothing();
}

QString EntryPanel::headline() const { return headline_->text(); }

void EntryPanel::pointAt(int bit)
{
  const int row = bit < 0 ? -1 : fields_->rowOfBit(bit);
  if (row < 0) return;
  table_->selectRow(row);
  const inspect::DecodedField& f = fields_->field(row);
  emit hovered(
      QStringLiteral("%1 [%2] = %3: %4 (%5)")
          .arg(fromView(f.name), bitsText(f.mask), fieldValueText(f), fromView(f.meaning), fromView(f.source)));
}

void EntryPanel::showFields(std::optional<inspect::DecodedEntry> entry)
{
  const bool hole = entry && entry->kind == EntryKind::hole;
  no_fields_->setText(hole ? QStringLiteral("A hole has no fields.") : QString());
  fields_->setEntry(std::move(entry));
  table_->setVisible(fields_->rowCount() > 0);
  no_fields_->setVisible(fields_->rowCount() == 0);
}

void EntryPanel::showNothing()
{
  headline_->setText(QStringLiteral("No entry is chosen"));
  explanation_->setText(QStringLiteral("Choose a row of the tree to see its bits."));
  primary_ruler_->setEntry(QStringLiteral("primary"), {});
  view_ruler_->hide();
  showFields({});
}

void EntryPanel::showDecoded(const QString& title, const inspect::DecodedEntry& entry)
{
  headline_->setText(QStringLiteral("<b>%1</b> &nbsp; %2")
                         .arg(title, QString::fromStdString(inspect::one_line(entry)).toHtmlEscaped()));
  showFields(entry);
}

void EntryPanel::showEntry(const AlignedTreePtr& tree, AlignedRow row, std::size_t column)
{
  const AlignedCell cell = tree->cell(row, column);
  const AlignedCell primary = tree->cell(row, 0);
  const QString title = titleOf(*tree, column) + QStringLiteral(" · ") + placeText(cell, row);
  const auto decoded = [&](const AlignedCell& c, std::size_t of) -> std::optional<inspect::DecodedEntry> {
    if (!c.exists || !c.readable) return {};
    return inspect::decode(tree->format(of), c.level, c.word);
  };
  primary_ruler_->setEntry(QStringLiteral("primary"), decoded(primary, 0));
  view_ruler_->setVisible(column > 0);
  if (column > 0) view_ruler_->setEntry(QStringLiteral("view %1").arg(tree->tree(column)), decoded(cell, column));
  explanation_->setText(explain(*tree, cell, row, column));
  if (const auto entry = decoded(cell, column)) return showDecoded(title, *entry);
  headline_->setText(QStringLiteral("<b>%1</b> &nbsp; %2")
                         .arg(title, cell.exists ? QStringLiteral("its table cannot be read")
                                                 : QStringLiteral("this tree begins further down")));
  showFields({});
}

}  // namespace morsel::gui
