// SPDX-License-Identifier: GPL-2.0-or-later
//
// The states with chip and name in one line, for the reader of a picture who does not know the signs.
#pragma once
#include <QWidget>

namespace morsel::gui {

class Legend : public QWidget {
  Q_OBJECT

 public:
  explicit Legend(QWidget* parent = nullptr);
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override { return {0, sizeHint().height()}; }

 protected:
  void paintEvent(QPaintEvent* event) override;
  bool event(QEvent* event) override;
};

}  // namespace morsel::gui
