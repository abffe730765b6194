// SPDX-License-Identifier: GPL-2.0-or-later
//
// Saved journals: what is written is read again, and what was damaged is refused.
#include "engine/session/journal_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/session/session.hpp"
#include "engine/session/tests/record_fixture.hpp"

namespace morsel::session {
namespace {

class SavedJournal : public testing::Test {
 protected:
  SavedJournal()
  {
    chronicle.target = "a machine made by hand";
    chronicle.history = std::make_unique<History>(machine.memory(), std::vector{machine.state()});
    add({{change(1, 0, 0x3000, 0, leaf(7)), change(2, 0, 0x3000, leaf(7), leaf(8))}, 0, 0});
    add({{change(5, 0, 0x4000, 0, leaf(9))}, 2, 1});
    chronicle.history->go_to(1);
    path = (std::filesystem::path(testing::TempDir()) / ("journal-" + std::to_string(::getpid()))).string();
    save_journal(chronicle, path);
    std::ifstream file(path, std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(file)), {});
    words.resize(all.size() / sizeof(u64));
    std::memcpy(words.data(), all.data(), words.size() * sizeof(u64));
  }
  ~SavedJournal() override { std::filesystem::remove(path); }

  void add(const JournalRead& read)
  {
    const std::size_t gaps = chronicle.journal.gaps().size();
    const auto added = chronicle.journal.append(read);
    ObjectState state = machine.state();
    state.frames = added.size();
    chronicle.history->append(
        added, {state},
        chronicle.journal.gaps().size() > gaps ? std::optional(chronicle.journal.gaps()[gaps].before) : std::nullopt,
        machine.memory());
  }
  Chronicle read() const { return read_journal(std::as_bytes(std::span(words)), "test"); }
  std::string refusal() const
  {
    try {
      read();
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::usage);
      return failure.found();
    }
    return "accepted";
  }
  JournalFileHeader& header() { return *reinterpret_cast<JournalFileHeader*>(words.data()); }
  char* text() { return reinterpret_cast<char*>(words.data()) + sizeof(JournalFileHeader); }
  std::size_t changes_at()
  {
    return sizeof(JournalFileHeader) / 8 + (header().text_bytes + 7) / 8 + header().pages * 513;
  }

  SmallMachine machine;
  Chronicle chronicle;
  std::string path;
  std::vector<u64> words;
};

TEST_F(SavedJournal, IsReadAgainAsItWas)
{
  EXPECT_EQ(chronicle.history->position(), 1u) << "saving moves nothing";
  Chronicle again = load_journal(path);
  EXPECT_EQ(again.target, chronicle.target);
  ASSERT_EQ(again.journal.size(), 3u);
  EXPECT_EQ(std::memcmp(again.journal.records().data(), chronicle.journal.records().data(), 3 * 64), 0);
  EXPECT_EQ(again.journal.lost, 2u);
  EXPECT_EQ(again.journal.garbage, 1u);
  ASSERT_EQ(again.journal.gaps().size(), 1u);
  EXPECT_EQ(again.journal.gaps()[0].before, 2u);
  for (std::size_t at = 0; at <= 3; ++at) {
    chronicle.history->go_to(at);
    again.history->go_to(at);
    EXPECT_EQ(again.history->is_exact(at), chronicle.history->is_exact(at));
    EXPECT_EQ(again.history->objects(), chronicle.history->objects());
    const u64* const ours = chronicle.history->memory().words(SmallMachine::root, 3 * 512);
    const u64* const theirs = again.history->memory().words(SmallMachine::root, 3 * 512);
    EXPECT_EQ(std::memcmp(ours, theirs, 3 * page_bytes), 0) << at;
  }
}

TEST_F(SavedJournal, IsRefusedWhenCutAnywhere)
{
  const std::vector<u64> whole = words;
  for (std::size_t count = 0; count < whole.size(); ++count) {
    words.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(count));
    ASSERT_NE(refusal(), "accepted") << count << " words";
  }
}

TEST_F(SavedJournal, IsRefusedWhenItIsSomethingElse)
{
  EXPECT_EQ(refusal(), "accepted");
  header().version = 2;
  EXPECT_NE(refusal().find("version 2"), std::string::npos);
  header().magic[0] = 'X';
  EXPECT_EQ(refusal(), "this is no saved journal");
}

TEST_F(SavedJournal, IsRefusedWhenAChangeDoesNotFindWhatItSays)
{
  words[changes_at() + 2] ^= 0x1000;  // before
  EXPECT_NE(refusal().find("change 0 finds"), std::string::npos);
}

TEST_F(SavedJournal, IsRefusedWhenAPageLiesOutsideMemory)
{
  ASSERT_GT(header().pages, 0u);
  words[sizeof(JournalFileHeader) / 8 + (header().text_bytes + 7) / 8] = 0x10;
  EXPECT_NE(refusal().find("a page at 0x10 lies outside"), std::string::npos);
}

TEST_F(SavedJournal, KeepsWhatIsMissingBeforeItsFirstRecordAndWhatIsDoubtful)
{
  Chronicle first{"a machine made by hand", Journal{}, nullptr};
  first.history = std::make_unique<History>(machine.memory(), std::vector{machine.state()});
  const auto added = first.journal.append({{change(4, 0, 0x3000, leaf(1), leaf(2))}, 3, 0});
  ASSERT_EQ(first.journal.gaps().size(), 1u);
  first.history->append(added, {machine.state()}, first.journal.gaps()[0].before, machine.memory());
  ASSERT_FALSE(first.history->doubts().empty());
  save_journal(first, path);
  const Chronicle again = load_journal(path);
  ASSERT_EQ(again.journal.gaps().size(), 1u);
  EXPECT_EQ(again.journal.gaps()[0].before, 0u);
  EXPECT_EQ(again.journal.gaps()[0].lost, 3u);
  EXPECT_EQ(again.journal.lost, 3u);
  ASSERT_EQ(again.history->doubts().size(), first.history->doubts().size());
  EXPECT_EQ(again.history->doubts()[0].to, first.history->doubts()[0].to);
  Session session{std::unique_ptr<Target>{}};
  session.execute_line("journal load '" + path + "'");
  const std::string status = session.execute_line("journal status").text;
  EXPECT_NE(status.find("not known exactly at 1 place\n"), std::string::npos) << status;
}

// As in docs/journal.md: what is not known is told.
TEST_F(SavedJournal, ASessionTellsWhatIsMissing)
{
  Session session{std::unique_ptr<Target>{}};
  session.execute_line("journal load '" + path + "'");
  const Reply status = session.execute_line("journal status");
  EXPECT_EQ(status.facts["gaps"], Json::parse(R"([{"after":2,"lost":2}])")) << status.text;
  EXPECT_NE(status.text.find("2 records missing after record 2"), std::string::npos) << status.text;
  const Reply records = session.execute_line("journal --object small");
  EXPECT_EQ(records.facts["records"].size(), 3u);
  EXPECT_EQ(records.facts["gaps"], Json::parse(R"([{"before":5,"lost":2}])"));
  EXPECT_NE(records.text.find("2 records lost"), std::string::npos) << records.text;
  EXPECT_THROW(session.execute_line("goto 6"), Failure);
  EXPECT_THROW(session.execute_line("journal --object tall"), Failure);
}

TEST_F(SavedJournal, SaysWhyItCannotBeWritten)
{
  try {
    save_journal(chronicle, "/nowhere/at/all");
    ADD_FAILURE() << "it was written";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.found(), "No such file or directory");
  }
  std::filesystem::create_directory(path + ".d");
  EXPECT_THROW(save_journal(chronicle, path + ".d"), Failure) << "a folder is not replaced";
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(path).parent_path()))
    EXPECT_FALSE(entry.path().string().starts_with(path + ".d.")) << entry.path();
  std::filesystem::remove(path + ".d");
}

TEST_F(SavedJournal, IsRefusedWhenAChangeLeavesMemory)
{
  words[changes_at() + 1] = 0x10;
  EXPECT_NE(refusal().find("outside memory"), std::string::npos);
}

TEST_F(SavedJournal, IsRefusedWhenRecordsAreOutOfOrder)
{
  words[words.size() - 8] = 1;  // the last one's sequence
  EXPECT_NE(refusal().find("not in order"), std::string::npos);
}

TEST_F(SavedJournal, IsRefusedWhenItsDescriptionIsDamaged)
{
  const std::string before(text(), header().text_bytes);
  const auto replaced = [&](std::string_view what, std::string_view with) {
    std::memcpy(text(), before.data(), before.size());
    const std::size_t at = before.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    ASSERT_EQ(what.size(), with.size());
    std::memcpy(text() + at, with.data(), with.size());
  };
  replaced("{\"target\"", "[\"target\"");
  EXPECT_EQ(refusal(), "its description is no JSON object");
  replaced("\"bytes\":12288", "\"bytes\":12289");
  EXPECT_NE(refusal().find("memory at"), std::string::npos);
  replaced("\"root_level\":1", "\"root_level\":9");
  EXPECT_NE(refusal().find("level-9 root"), std::string::npos);
  replaced("\"bytes\":1073741824", "\"bytes\":1973741824");
  EXPECT_NE(refusal().find("object of 1973741824 bytes"), std::string::npos);
}

TEST(JournalFile, APipeIsRefusedThoughNobodyWritesToIt)
{
  const std::string path = testing::TempDir() + "/journal-pipe-" + std::to_string(::getpid());
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROW(load_journal(path), Failure);
  std::filesystem::remove(path);
}

TEST(JournalFile, ThatIsNotThereOrNoFileIsRefused)
{
  EXPECT_THROW(load_journal("/nowhere/at/all"), Failure);
  EXPECT_THROW(load_journal("/"), Failure);
}

}  // namespace
}  // namespace morsel::session
