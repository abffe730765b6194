// SPDX-License-Identifier: GPL-2.0-or-later
//
// One 64-bit word as a ruler: ticks 63 to 0, its fields as boxes with their names, the bits below. What the format does
// not define is hatched, and marked when it is set nevertheless. The field under the mouse is told to whoever listens.
#pragma once
#include <QWidget>
#include <optional>

#include "engine/inspect/decode.hpp"

namespace morsel::gui {

class BitRuler : public QWidget {
  Q_OBJECT

 public:
  enum class Ticks : u8 { shown, hidden };  // hidden: below another ruler that shows them

  explicit BitRuler(Ticks ticks, QWidget* parent = nullptr);

  void setEntry(const QString& title, std::optional<inspect::DecodedEntry> entry);
  void setHighlight(u64 mask);
  int bitAt(int x) const;  // -1: beside the ruler
  QSize sizeHint() const override { return {1000, rulerHeight()}; }
  QSize minimumSizeHint() const override { return {600, rulerHeight()}; }

 signals:
  void bitHovered(int bit);  // -1: none
  void bitClicked(int bit);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  bool event(QEvent* event) override;

 private:
  int rulerHeight() const { return ticks_ == Ticks::shown ? 64 : 49; }
  double boxTop() const { return ticks_ == Ticks::shown ? 16 : 1; }
  double bitWidth() const;
  QRectF box(int high, int low, double top, double height) const;
  void paintTicks(QPainter& p) const;
  void paintFields(QPainter& p) const;
  void paintGaps(QPainter& p) const;
  void paintBits(QPainter& p) const;
  void paintHole(QPainter& p) const;

  Ticks ticks_;
  QString title_;
  std::optional<inspect::DecodedEntry> entry_;
  u64 highlight_ = 0;
};

}  // namespace morsel::gui
